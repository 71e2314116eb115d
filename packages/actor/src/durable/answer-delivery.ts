/** Takes answers to their callers, as often as need be, until they were heard or the caller is gone for good. */
import { Mailbox, MAX_KEPT_CALLS, type ActorId, type NodeId, type ProcessId } from "@stingray/protocol";
import type { Runtime } from "@stingray/task/internal";
import { answerOf, sizeOf, type OpenAnswer } from "./unheard.js";

/** A caller answers within this, or is told again. Milliseconds. */
const ASK_MS = 10_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** A caller that can't be reached for so long is gone. Milliseconds. */
const GONE_AFTER_MS = 60_000;
/** In one request. */
const MOST_BYTES = 1 << 20;

export interface DeliveryHooks {
  readonly actor: ActorId;
  heard(producer: string, number: number): void;
  /** Since when it can't be reached, in milliseconds since 1970: earlier incarnations may have found so. */
  goneAt(producer: string): number | undefined;
  /** It can't be reached since then; or is, where that is undefined. */
  setGone(producer: string, at: number | undefined): void;
  /** The caller is gone: nobody will ever hear it. */
  unheard(answer: OpenAnswer): void;
}

export class AnswerDelivery {
  private readonly waiting = new Map<string, OpenAnswer[]>();
  private stopped = false;
  private whenIdle: (() => void) | undefined;

  constructor(
    private readonly runtime: Runtime,
    private readonly hooks: DeliveryHooks,
  ) {}

  deliver(answers: readonly OpenAnswer[]): void {
    for (const answer of answers) {
      const line = this.waiting.get(answer.producer);
      if (line !== undefined) {
        line.push(answer);
        continue;
      }
      const fresh = [answer];
      this.waiting.set(answer.producer, fresh);
      void this.run(answer.producer, answer.node, fresh);
    }
  }

  /** Resolves when all was heard, or after `ms`. */
  async idle(ms: number): Promise<void> {
    if (this.waiting.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.whenIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** The incarnation ends: the next one goes on. */
  stop(): void {
    this.stopped = true;
    this.waiting.clear();
  }

  /** Asked after an await: it may have changed meanwhile. */
  private get isStopped(): boolean {
    return this.stopped;
  }

  private async run(producer: string, node: string | undefined, line: OpenAnswer[]): Promise<void> {
    // What else is answered in this turn goes along.
    await Promise.resolve();
    const { hooks } = this;
    for (let pause = FIRST_PAUSE_MS; line.length > 0 && !this.stopped;) {
      const batch = batchOf(line);
      try {
        const channel = this.runtime.channelTo(producer as ProcessId, node as NodeId | undefined);
        const ask = { actor: hooks.actor, answers: batch.map(answerOf) };
        await channel.request(Mailbox.answers, ask, { timeoutMs: ASK_MS });
        line.splice(0, batch.length);
        hooks.setGone(producer, undefined);
        for (const { answer } of batch) hooks.heard(producer, answer[0]);
        pause = FIRST_PAUSE_MS;
      } catch {
        if (this.isStopped) break;
        const now = Date.now();
        const goneAt = hooks.goneAt(producer) ?? now;
        hooks.setGone(producer, goneAt);
        if (now - goneAt > GONE_AFTER_MS) {
          // Since that stays known, what it is owed from here on is given up at the first try that fails.
          for (const answer of line.splice(0)) hooks.unheard(answer);
          break;
        }
        await new Promise((later) => setTimeout(later, pause).unref());
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
    if (this.waiting.get(producer) === line) this.waiting.delete(producer);
    if (this.waiting.size === 0) this.whenIdle?.();
  }
}

function batchOf(line: readonly OpenAnswer[]): OpenAnswer[] {
  const batch: OpenAnswer[] = [];
  let bytes = 0;
  for (const answer of line) {
    bytes += sizeOf(answerOf(answer));
    if (batch.length > 0 && (batch.length >= MAX_KEPT_CALLS || bytes > MOST_BYTES)) break;
    batch.push(answer);
  }
  return batch;
}
