/** Utilities made of actors. */
export type {} from "@stingray/actor";
