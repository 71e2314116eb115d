/** Durable mailboxes of actors on JetStream. */
export type {} from "@stingray/protocol";
