/** A cluster in one line inside a test: `import { … } from "stingray/testing"`. */
export type {} from "@stingray/node";
