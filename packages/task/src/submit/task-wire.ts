/** A task on the wire. Functions are named once per channel and then by number. */
import { Op, type ValueDesc } from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import type { ObjectEntry } from "../objects/entry.js";
import { moduleOnWire, type RemoteDefinition } from "../registry.js";
import type { Lease } from "./lease.js";
import type { PendingTask } from "./task.js";

export class TaskWire {
  private readonly defined = new WeakMap<Channel, Map<RemoteDefinition, number>>();

  constructor(
    /** What module paths are relative to. */
    private readonly root: () => string,
    private readonly describe: (entry: ObjectEntry) => ValueDesc,
  ) {}

  send(task: PendingTask, lease: Lease): void {
    const { settings, args, sequence, attempt } = task;
    const { channel } = lease;
    const values =
      args.whole ??
      (args.slots ?? []).map((slot): ValueDesc =>
        slot.kind === "bytes" ? [0, slot.bytes] : this.describe(slot.entry),
      );
    const fn = this.functionIndex(channel, settings.definition);
    const message = [Op.TaskRun, sequence, lease.id, fn, values, settings.returns, attempt];
    channel.send(settings.run === undefined ? message : [...message, settings.run]);
    // An attempt begins at the first item: it must know how far the reader is, or it waits for what was said before.
    const progress = task.stream?.progress ?? 0;
    if (progress !== 0) channel.send([Op.TaskConsumed, sequence, progress]);
  }

  private functionIndex(channel: Channel, definition: RemoteDefinition): number {
    let known = this.defined.get(channel);
    if (known === undefined) this.defined.set(channel, (known = new Map()));
    let index = known.get(definition);
    if (index === undefined) {
      index = known.size;
      known.set(definition, index);
      const module = moduleOnWire(definition.module, this.root());
      channel.send([Op.TaskDefine, index, module, definition.name, definition.hash]);
    }
    return index;
  }
}
