/**
 * Operations: the first item of every message that travels over a channel. The files beside this one are the wire
 * contract: who sends what, who answers, what must hold.
 *
 * A channel delivers in order and once (see the broker package). "Submitter" is the process that calls
 * `.remote()`, driver or worker; "agent" is the node agent; ids are as in ids.ts. Times are milliseconds unless
 * the name says `Us` (microseconds).
 */

export const Op = {
  // generic request and response, see `request()` in the broker package
  Request: 0,
  Response: 1,
  // tasks: submitter -> worker
  TaskDefine: 10,
  TaskRun: 11,
  TaskCancel: 12,
  TaskConsumed: 13,
  TaskTakeBack: 14,
  // tasks: worker -> submitter
  TaskDone: 20,
  TaskYield: 21,
  TaskStarted: 22,
  // actors: caller -> mailbox (answered with TaskDone / TaskYield)
  ActorCall: 15,
  // objects: any process -> owner
  ObjectGet: 30,
  ObjectBorrow: 31,
  ObjectRelease: 32,
  ObjectCopied: 34,
  // objects: owner -> asker
  ObjectValue: 33,
  // objects: any process -> the agent of a node with a copy
  StoreSealed: 40,
  StoreFree: 41,
  StoreDone: 42,
  StoreReturn: 43,
  StoreAbandoned: 44,
  StoreDamaged: 45,
  // leases: submitter -> agent
  LeaseDemand: 50,
  LeaseReturn: 51,
  // leases: agent -> submitter
  LeaseGrant: 52,
  LeaseRevoke: 53,
  LeaseLost: 54,
  LeaseFailed: 55,
  LeasePending: 56,
  LeaseComing: 57,
  // workers: agent -> worker
  WorkerAssign: 60,
  WorkerExit: 61,
  // workers: worker -> agent
  WorkerBlocked: 62,
  WorkerUnblocked: 63,
  WorkerRetired: 64,
  // actors: agent -> watcher
  ActorState: 70,
  // actors: worker -> agent
  ActorExited: 71,
  // logs: agent -> driver
  Logs: 80,
  // durable mailboxes: agent -> worker
  MailboxFeed: 90,
  // durable mailboxes: worker -> agent
  MailboxTaken: 91,
  // durable mailboxes: caller -> actor
  MailboxCancel: 92,
} as const;
export type Op = (typeof Op)[keyof typeof Op];
