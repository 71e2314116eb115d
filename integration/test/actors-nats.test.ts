import { describeActors } from "./support/actor-suite.js";

describeActors("nats");
