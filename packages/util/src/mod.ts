/** Utilities made of actors. */
export type { ActorHandle } from "@stingray/actor";
