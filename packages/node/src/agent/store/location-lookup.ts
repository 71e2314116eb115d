/**
 * Reading where large objects are from the control store. When an owner dies, many ask at once for objects of that one
 * owner: what is asked for during a read waits for the next, and many objects are then read in one stroke.
 */
import { objectPrefix, parseObjectKey, type ObjectRow, type Row, type Table } from "@stingray/gcs-kv";
import { ConnectionError, ownerOf, toError, type ObjectId } from "@stingray/protocol";
import type { Timers } from "../timers.js";

/** An answer is there within this time, in milliseconds. */
const LOOK_UP_MS = 3_000;
/** So many objects of an owner are read one by one; more of them by reading all that it owns. */
const FEW = 8;

/** The table, asked for when it is needed first. */
export type ReadTable = () => Promise<Pick<Table<ObjectRow>, "entries">>;
type Rows = Row<ObjectRow>[];

interface Asked {
  readonly answer: Promise<Rows>;
  settle(answer: Rows | Error): void;
}

export class LocationLookup {
  /** What waits to be read, by job and owner. There while something of it is being read. */
  private readonly waiting = new Map<string, Map<string, Asked>>();
  private readonly open = new Set<Asked>();
  private stopped = false;

  constructor(
    private readonly timers: Timers,
    private readonly table: ReadTable,
  ) {}

  /**
   * The rows of an object, oldest first.
   * @throws ConnectionError where the control store gave no answer in time
   */
  find(job: string, object: string): Promise<Rows> {
    if (this.stopped) return Promise.reject(stoppedError(object));
    const owned = objectPrefix(job, ownerOf(object as ObjectId));
    let wanted = this.waiting.get(owned);
    const reading = wanted !== undefined;
    if (wanted === undefined) this.waiting.set(owned, (wanted = new Map()));
    let asked = wanted.get(object);
    if (asked === undefined) wanted.set(object, (asked = this.ask(object)));
    if (!reading) void this.readAll(job, owned);
    return asked.answer;
  }

  /** What is asked for is answered with an error. */
  stop(): void {
    this.stopped = true;
    for (const asked of this.open) asked.settle(stoppedError());
  }

  private ask(object: string): Asked {
    let settle: Asked["settle"] = () => undefined;
    const answer = new Promise<Rows>((resolve, reject) => {
      const cancel = this.timers.defer(LOOK_UP_MS, () => settle(lateError(object)));
      settle = (result) => {
        cancel();
        this.open.delete(asked);
        if (result instanceof Error) reject(result);
        else resolve(result);
      };
    });
    const asked: Asked = { answer, settle };
    this.open.add(asked);
    return asked;
  }

  private async readAll(job: string, owned: string): Promise<void> {
    for (let wanted = this.waiting.get(owned); wanted !== undefined && wanted.size > 0;) {
      const next = new Map<string, Asked>();
      this.waiting.set(owned, next);
      const live = [...wanted].filter(([, asked]) => this.open.has(asked));
      if (live.length > FEW) await this.readTogether(owned, new Map(live));
      else
        await Promise.all(
          live.map(([object, asked]) =>
            this.readTogether(objectPrefix(job, object), new Map([[object, asked]])),
          ),
        );
      wanted = next;
    }
    this.waiting.delete(owned);
  }

  /** Over when all have their answers, in time or not. */
  private async readTogether(prefix: string, wanted: ReadonlyMap<string, Asked>): Promise<void> {
    const found = new Map<string, Rows>();
    const read = async (): Promise<void> => {
      for await (const row of (await this.table()).entries(prefix)) {
        const { object } = parseObjectKey(row.key);
        const rows = found.get(object);
        if (rows !== undefined) rows.push(row);
        else if (wanted.has(object)) found.set(object, [row]);
      }
    };
    read().then(
      () => wanted.forEach((asked, object) => asked.settle(found.get(object) ?? [])),
      (thrown: unknown) => wanted.forEach((asked) => asked.settle(toError(thrown))),
    );
    await Promise.allSettled([...wanted.values()].map(({ answer }) => answer));
  }
}

const lateError = (object: string): ConnectionError =>
  new ConnectionError(
    `where object ${object} is: the control store gave no answer within ${LOOK_UP_MS} ms; try again, and check the broker`,
  );
const stoppedError = (object?: string): ConnectionError =>
  new ConnectionError(
    `${object === undefined ? "" : `where object ${object} is: `}this node is being stopped; ask another`,
  );
