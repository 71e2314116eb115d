/** Utilities made of actors: `import { Queue } from "stingray/util"`. */
export type {} from "@stingray/util";
