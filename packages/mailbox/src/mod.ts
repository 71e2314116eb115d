/** Durable mailboxes of actors on JetStream. */
export { MailboxLog } from "./log.js";
export type { KeptMessage, MailboxLogOptions } from "./log.js";
export { MailboxReader } from "./reader.js";
export type { ReaderHooks } from "./reader.js";
export { MailboxAppender, checkLater } from "./appender.js";
export type { Producer, Refused } from "./appender.js";
export { MachineClock, VirtualClock } from "./clock.js";
export type { Forget, ReminderClock } from "./clock.js";
export { ReminderBook } from "./reminders.js";
export type { SetReminder } from "./reminders.js";
export { ReminderRunner } from "./reminder-runner.js";
export type { ReminderHooks } from "./reminder-runner.js";
export { begin as beginReminder, next as nextReminder } from "./schedule.js";
export { readAll } from "./read-all.js";
