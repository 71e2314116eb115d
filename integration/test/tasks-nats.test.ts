import { describeTasks } from "./support/task-suite.js";

describeTasks("nats");
