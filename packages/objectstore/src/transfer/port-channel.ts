/** One object that is open on a connection to a data port, to be sent. */
import type { ChunkMap } from "./chunks.js";
import { Flag, Kind } from "./frame.js";
import type { Session } from "./handshake.js";
import { encodeHere } from "./here.js";
import type { Answer, ServedChannel, Serving } from "./serving.js";
import type { Outgoing } from "./types.js";
import type { Wire } from "./wire.js";

/** News of an object that is still arriving are told together, after so long. */
const NEWS_MS = 10;

/** A chunk that can be sent now. */
export interface Ready {
  readonly bytes: Uint8Array;
  readonly sum: Buffer;
}

export class SendingChannel implements ServedChannel {
  readonly #number: number;
  readonly #wire: Wire;
  readonly #session: Session;
  readonly #serving: Serving;
  readonly #outgoing: Outgoing;
  readonly #chunks: ChunkMap;
  readonly #named: Set<string>;
  readonly #mostHolders: number;
  readonly #unlisten: () => void;
  #toldTag: string | undefined;
  #news: NodeJS.Timeout | undefined;
  /** Chunks of it that the kernel does not have yet: they must stay readable. */
  #underWay = 0;
  #closed = false;

  constructor(
    number: number,
    wire: Wire,
    session: Session,
    serving: Serving,
    outgoing: Outgoing,
    mostHolders: number,
  ) {
    this.#number = number;
    this.#wire = wire;
    this.#session = session;
    this.#serving = serving;
    this.#outgoing = outgoing;
    this.#mostHolders = mostHolders;
    this.#named = new Set([session.peer]);
    this.#chunks = serving.chunksOf(outgoing);
    this.#unlisten = this.#chunks.complete ? () => {} : this.#chunks.onAdd(() => this.changed());
    serving.join(this, session.serves);
    this.#tell();
  }

  get peer(): string {
    return this.#session.peer;
  }

  changed(): void {
    if (this.#closed) return;
    this.#news ??= setTimeout(() => {
      this.#news = undefined;
      this.#tell();
    }, NEWS_MS).unref();
  }

  /** The chunk, or why it is not sent; undefined: there is no such chunk. */
  ready(index: number, flags: number): Ready | Exclude<Answer, "send"> | undefined {
    if (index >= this.#chunks.count) return undefined;
    const answer = this.#serving.answer(this.#chunks, index, this.peer, (flags & Flag.Insist) !== 0);
    if (answer !== "send") return answer;
    // Of which object the chunk is must be known to the peer before it comes.
    if (this.#chunks.tag !== this.#toldTag) this.#tell();
    const bytes = this.#outgoing.read(this.#chunks.offset(index), this.#chunks.length(index));
    if (bytes?.length !== this.#chunks.length(index)) return "not-yet";
    return { bytes, sum: this.#serving.sum(this.#chunks, index, bytes) };
  }

  send(index: number, { bytes, sum }: Ready, done: (sent: boolean) => void): void {
    this.#underWay++;
    this.#wire.sendChunk(Kind.Data, this.#number, index, bytes, sum, (sent) => {
      this.#underWay--;
      this.#closeIfUnused();
      done(sent);
    });
  }

  /** `whole`: the peer has everything. */
  close(whole: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#news);
    this.#unlisten();
    this.#serving.leave(this, whole);
    this.#closeIfUnused();
  }

  #tell(): void {
    const here = this.#serving.availability(this.#chunks, this.peer);
    this.#toldTag = here.tag;
    this.#wire.send(Kind.Here, this.#number, 0, 0, encodeHere(here));
    const room = this.#mostHolders - (this.#named.size - 1);
    const others = this.#serving.others(this.#named, room);
    if (others.length === 0) return;
    for (const { name } of others) this.#named.add(name);
    const holders = others.map(({ name, address }) => ({ name, address: this.#session.seal.close(address) }));
    this.#wire.say(Kind.Holders, this.#number, { holders });
  }

  #closeIfUnused(): void {
    if (this.#closed && this.#underWay === 0) this.#outgoing.close();
  }
}
