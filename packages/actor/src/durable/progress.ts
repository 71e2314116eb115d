/**
 * How far an actor is with its durable mailbox. Saved in one row with its state, so that the two never disagree: what has
 * run is in the state, and is known here to have run. Pure: no clocks, no I/O.
 */
import { decodePlain, encodePlain } from "@stingray/broker";
import {
  UNORDERED,
  ValueKind,
  bool,
  list,
  oneOf,
  text,
  tuple,
  uint,
  type KeptAnswer,
  type KeptBatch,
  type KeptCall,
} from "@stingray/protocol";
import { CallIds, rememberedIds, type RememberedIds } from "./call-ids.js";
import { ProducerBook, producerRow, type ProducerRow } from "./producers.js";
import {
  MOST_UNHEARD,
  UnheardAnswers,
  lostAnswer,
  unheardRow,
  type OpenAnswer,
  type UnheardRow,
} from "./unheard.js";

/** A call that came out of the mailbox and has not ended. */
export interface OpenCall {
  readonly producer: string;
  readonly node: string | undefined;
  readonly revision: number;
  readonly call: KeptCall;
  /** How often it was begun by incarnations that ended in its time, as far as is known. */
  tries: number;
}

/** Who is told how a call has ended. */
export interface Addressee {
  readonly producer: string;
  readonly node: string | undefined;
  readonly number: number;
  /** Its sequence number at its caller. */
  readonly call: number;
}

/** What is saved, at one moment. */
export type ProgressRow = [
  version: 2,
  position: number,
  producers: ProducerRow[],
  ids: RememberedIds,
  unheard: UnheardRow[],
  tries: [call: string, tries: number][],
  clean: boolean,
];
const saved = tuple<ProgressRow>(
  oneOf(2),
  uint,
  list(producerRow, 100_000),
  rememberedIds,
  list(unheardRow, 100_000),
  list(tuple<[call: string, tries: number]>(text, uint), 100_000),
  bool,
);

/** What is to be done with a call that came. */
export type Arrival =
  /** Run it. */
  | { readonly kind: "run"; readonly open: OpenCall }
  /** One with its id has ended: this is how, if it is still known. */
  | {
      readonly kind: "known";
      readonly to: Addressee;
      readonly answer: KeptAnswer | undefined;
      readonly callId: string;
    };

export class MailboxProgress {
  /** All messages up to this revision have ended. */
  position = 0;
  /** Whether the incarnation that saved it had begun no call that it had not ended. */
  clean = false;
  /** Messages above it by revision: how many of their calls have not ended, and the message before. None at 0. */
  private readonly messages = new Map<number, { left: number; readonly before: number }>();
  private readonly producers = new ProducerBook();
  private readonly ids = new CallIds();
  readonly unheard = new UnheardAnswers();
  /** Of calls that may make their process end. */
  private readonly tries = new Map<string, number>();
  /** Calls with an id that wait for one that has not ended. */
  private readonly twins = new Map<string, OpenCall[]>();
  private last = 0;

  /** @throws ProtocolError where the bytes are not of this version */
  static decode(data: Uint8Array | undefined): MailboxProgress {
    const progress = new MailboxProgress();
    if (data === undefined || data.byteLength === 0) return progress;
    const [, position, producers, ids, unheard, tries, clean] = saved(
      decodePlain(Uint8Array.from(data)),
      "what the mailbox has saved",
    );
    progress.position = progress.last = position;
    progress.clean = clean;
    progress.producers.restore(producers);
    progress.ids.restore(ids);
    progress.unheard.restore(unheard);
    for (const [call, count] of tries) progress.tries.set(call, count);
    return progress;
  }

  /**
   * @param now milliseconds since 1970, to forget producers that are silent for long
   * @param clean no call was begun that has not ended, and none will be
   */
  row(now: number, clean: boolean): ProgressRow {
    return [
      2,
      this.position,
      this.producers.rows(now),
      this.ids.rows(),
      this.unheard.rows(),
      [...this.tries],
      clean,
    ];
  }

  /** What is stored of a row: with the tries as they are now, which go ahead of what has ended since. */
  encode(row: ProgressRow): Uint8Array {
    const [version, position, producers, ids, unheard, , clean] = row;
    return encodePlain([version, position, producers, ids, unheard, [...this.tries], clean]);
  }

  /** Calls of a message: those to be run, and those that are known to have run under the same id. */
  arrive(revision: number, [, producer, node, calls]: KeptBatch, now: number): Arrival[] {
    // The stream was made anew, as by a broker that keeps it in memory: its numbers begin again.
    if (revision <= this.last) {
      this.position = this.last = revision - 1;
      this.messages.clear();
    }
    const message = { left: 0, before: this.last };
    this.last = revision;
    const arrivals: Arrival[] = [];
    for (const call of calls) {
      const [number, sequence, , , , , , callId] = call;
      const ordered = producer !== "" && number < UNORDERED;
      if (ordered && !this.producers.arrive(producer, number, now)) continue;
      if (callId !== undefined) {
        const to: Addressee = { producer, node, number, call: sequence };
        const known = this.ids.get(callId);
        if (known !== undefined) {
          if (known.done) arrivals.push({ kind: "known", to, answer: known.answer, callId });
          else if (producer !== "") addTo(this.twins, callId, { producer, node, revision, call, tries: 0 });
          // A twin needs no count: the call that it waits for came before it, and holds the position.
          if (known.done) this.producers.end(producer, number);
          continue;
        }
        this.ids.begin(callId);
      }
      message.left++;
      const tries = this.tries.get(keyOf(producer, number, callId)) ?? 0;
      arrivals.push({ kind: "run", open: { producer, node, revision, call, tries } });
    }
    if (message.left > 0) this.messages.set(revision, message);
    this.advance();
    return arrivals;
  }

  /**
   * A call was cancelled before it began. It has not used its id: the first of those that waited for it is to be run in
   * its place.
   */
  withdraw(open: OpenCall, answer: KeptAnswer): { told: OpenAnswer[]; instead: OpenCall | undefined } {
    const [, , , , , , , callId] = open.call;
    if (callId === undefined) return { told: this.end(open, answer), instead: undefined };
    this.ids.forget(callId);
    const [instead, ...others] = this.twins.get(callId) ?? [];
    this.twins.delete(callId);
    if (instead !== undefined) {
      this.ids.begin(callId);
      if (others.length > 0) this.twins.set(callId, others);
      // It holds the position from here on; until now the one before it did.
      const { revision } = instead;
      const message = this.messages.get(revision);
      if (message !== undefined) message.left++;
      else this.messages.set(revision, { left: 1, before: revision - 1 });
    }
    return { told: this.over(open, answer, undefined), instead };
  }

  /** A call has ended so. Gives all who are to be told: its caller, and those who called under the same id. */
  end(open: OpenCall, answer: KeptAnswer): OpenAnswer[] {
    return this.over(open, answer, open.call[7]);
  }

  private over(open: OpenCall, answer: KeptAnswer, callId: string | undefined): OpenAnswer[] {
    const { producer, node, call, revision } = open;
    const [number] = call;
    const message = this.messages.get(revision);
    if (message !== undefined && --message.left === 0) this.messages.delete(revision);
    this.producers.end(producer, number);
    this.tries.delete(keyOf(producer, number, call[7]));
    const told: OpenAnswer[] = [];
    if (producer !== "") told.push({ producer, node, answer });
    if (callId !== undefined) {
      this.ids.end(callId, answer);
      for (const twin of this.twins.get(callId) ?? []) {
        const [theirs, sequence] = twin.call;
        const to = { producer: twin.producer, node: twin.node, number: theirs, call: sequence };
        told.push(answerTo(to, answer));
        this.producers.end(twin.producer, theirs);
      }
      this.twins.delete(callId);
    }
    for (const one of told) this.unheard.add(one);
    this.advance();
    return told;
  }

  /** Remembers an answer to a call that did not run since one with its id had. */
  owe(to: Addressee, answer: KeptAnswer): OpenAnswer | undefined {
    if (to.producer === "") return undefined;
    const owed = answerTo(to, answer);
    this.unheard.add(owed);
    return owed;
  }

  /** So much was not heard that no more is to be begun. */
  get full(): boolean {
    return this.unheard.size >= MOST_UNHEARD;
  }

  /** It is about to be begun, and its process may end of it. */
  suspect(open: OpenCall): void {
    const { producer, call } = open;
    open.tries++;
    this.tries.set(keyOf(producer, call[0], call[7]), open.tries);
  }

  private advance(): void {
    let upTo = this.last;
    for (const { before } of this.messages.values()) upTo = Math.min(upTo, before);
    this.position = Math.max(this.position, upTo);
  }
}

function keyOf(producer: string, number: number, callId?: string): string {
  return producer === "" ? `/${callId ?? ""}` : `${producer}/${number}`;
}

function addTo(map: Map<string, OpenCall[]>, key: string, to: OpenCall): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [to]);
  else known.push(to);
}

/** The same answer for another caller. A value in a store belongs to the first. */
function answerTo({ producer, node, number, call }: Addressee, answer: KeptAnswer): OpenAnswer {
  const [, , status, results, tookUs] = answer;
  if (results.some(([kind]) => kind === ValueKind.Stored)) return lostAnswer(producer, node, number, call);
  return { producer, node, answer: [number, call, status, results, tookUs, undefined] };
}
