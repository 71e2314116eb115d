/** Durable mailboxes of actors on JetStream. */
export { MailboxLog } from "./log.js";
export type { KeptMessage, MailboxLogOptions } from "./log.js";
export { MailboxReader } from "./reader.js";
export type { ReaderHooks } from "./reader.js";
export { MailboxAppender } from "./appender.js";
export type { Producer, Refused } from "./appender.js";
