/** A cluster in one line inside a test: `import { … } from "stingray/testing"`. */
export type { Cluster } from "../cluster.js";
