/** Durable mailboxes of actors on JetStream. */
export type { ActorId } from "@stingray/protocol";
