import { describeTasks } from "./support/task-suite.js";

describeTasks("auto");
