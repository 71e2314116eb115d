/** The durable mailboxes of the activations in this process, by actor. */
import { Op, mailboxCancel, mailboxFeed } from "@stingray/protocol";
import type { Endpoint } from "@stingray/broker";
import type { Runtime } from "@stingray/task/internal";
import type { Activation } from "../activation.js";
import { KeptMailbox, type Before } from "./kept-mailbox.js";

export class KeptMailboxes {
  private readonly byActor = new Map<string, { readonly epoch: number; readonly mailbox: KeptMailbox }>();

  private constructor(private readonly runtime: Runtime) {
    runtime.waitStates.addRunner((task) => {
      for (const { mailbox } of this.byActor.values()) {
        const state = mailbox.waitState(task);
        if (state !== undefined) return state;
      }
      return undefined;
    });
    runtime.transport.inbox.on(Op.MailboxFeed, mailboxFeed, ([, actor, epoch, revision, data], channel) => {
      const known = this.byActor.get(actor);
      // Only the agent of this node feeds its workers.
      if (known?.epoch === epoch && channel.peer.endpoint === runtime.home.agent)
        known.mailbox.feed(revision, data);
    });
  }

  /** Those of this process, made on first use. */
  static of(runtime: Runtime): KeptMailboxes {
    let own = instances.get(runtime);
    if (own === undefined) instances.set(runtime, (own = new KeptMailboxes(runtime)));
    return own;
  }

  /** Callers cancel on the endpoint of the actor. */
  serve(endpoint: Endpoint): void {
    endpoint.on(Op.MailboxCancel, mailboxCancel, ([, actor, numbers], { peer }) =>
      this.byActor.get(actor)?.mailbox.cancel(peer.process ?? peer.endpoint, numbers),
    );
  }

  /** Opens the mailbox of an activation: calls come from here on. */
  open(activation: Activation, before: Before): KeptMailbox {
    const mailbox = new KeptMailbox(this.runtime, activation, before);
    this.byActor.set(activation.spec.actor, { epoch: activation.epoch, mailbox });
    mailbox.begin();
    return mailbox;
  }

  /** Whether all callers have heard of what has ended; true where its mailbox is not durable. */
  isQuiet({ spec, epoch }: Activation): boolean {
    const known = this.byActor.get(spec.actor);
    return known?.epoch !== epoch || known.mailbox.isQuiet;
  }

  /**
   * Of an activation that takes no more calls: what has ended is saved. Nothing where its mailbox is not durable.
   * @returns whether callers have not heard of all that has ended
   */
  async close({ spec, epoch, pending }: Activation): Promise<boolean> {
    const known = this.byActor.get(spec.actor);
    if (known?.epoch !== epoch) return false;
    if (pending === 0) await known.mailbox.close();
    else known.mailbox.stop();
    if (this.byActor.get(spec.actor) === known) this.byActor.delete(spec.actor);
    return !known.mailbox.isQuiet;
  }
}

const instances = new WeakMap<Runtime, KeptMailboxes>();
