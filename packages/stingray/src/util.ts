/** Utilities made of actors: `import { Queue } from "stingray/util"`. */
export type { ActorHandle } from "@stingray/util";
