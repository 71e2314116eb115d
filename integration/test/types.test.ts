/** What the compiler knows of tasks and objects. Everything in `typesOnly` is checked by compiling it; it never runs. */
import { expect } from "chai";
import {
  asCompleted,
  cancel,
  get,
  init,
  put,
  remote,
  wait,
  type Cluster,
  type ObjectRef,
  type ObjectRefStream,
  type RemoteFunction,
} from "stingray";

const area = remote(function area(width: number, height: number, unit?: string): string {
  return `${width * height} ${unit ?? ""}`;
});
const load = remote({ cpus: 2, maxRetries: 5 }, async (url: string) => ({ url, bytes: new Uint8Array(1) }));
const split = remote({ returns: 2 }, (text: string): [string, number] => [text, text.length]);
const parts = remote((n: number): string[] => Array.from({ length: n }, String));
const count = remote(function* (to: number): Generator<number> {
  yield to;
});
const countLater = remote(async function* (to: number): AsyncGenerator<{ n: number }> {
  yield { n: to };
});
const many = remote((...values: number[]): number => values.length);
const readNested = remote(async (holder: { ref: ObjectRef<Date> }): Promise<Date> => get(holder.ref));
const nothing = remote((): void => {});

/** True where the types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(asExpected: Same<A, B>): void => void asExpected;

async function typesOnly(): Promise<void> {
  same<typeof area, RemoteFunction<[width: number, height: number, unit?: string], string>>(true);
  const text = area.remote(1, 2);
  same<typeof text, ObjectRef<string>>(true);
  area.remote(await put(1), many.remote(1, 2), "m");
  area.options({ cpus: 0.5, retryOn: [RangeError], timeoutMs: 10 }).remote(1, 2);
  area.options({ retryOn: (error) => error instanceof TypeError });
  // @ts-expect-error too few
  area.remote(1);
  // @ts-expect-error too many
  area.remote(1, 2, "m", 3);
  // @ts-expect-error of the wrong type
  area.remote("1", 2);
  // @ts-expect-error a reference to the wrong type
  area.remote(text, 2);
  // @ts-expect-error a promise of a reference is none
  area.remote(put(1), 2);
  // @ts-expect-error not called directly
  area(1, 2);
  // @ts-expect-error no such option
  area.options({ retries: 1 });
  // @ts-expect-error of the wrong type
  area.options({ cpus: "1" });
  // @ts-expect-error no such strategy
  area.options({ scheduling: "anywhere" });
  // @ts-expect-error no function
  remote(1);
  // @ts-expect-error no such option
  remote({ maxRetry: 1 }, () => 1);

  same<ReturnType<typeof load.remote>, ObjectRef<{ url: string; bytes: Uint8Array<ArrayBuffer> }>>(true);
  same<ReturnType<typeof nothing.remote>, ObjectRef<void>>(true);
  same<ReturnType<typeof count.remote>, ObjectRefStream<number>>(true);
  for await (const ref of countLater.remote(2)) same<typeof ref, ObjectRef<{ n: number }>>(true);
  // @ts-expect-error a stream is no reference
  await get(count.remote(2));

  const both = split.remote("text");
  same<typeof both, [ObjectRef<string>, ObjectRef<number>]>(true);
  const three = parts.options({ returns: 3 }).remote(3);
  same<typeof three, ObjectRef<string>[]>(true);

  many.remote();
  many.remote(1, await put(2), 3);
  // @ts-expect-error one of them is wrong
  many.remote(1, "2", 3);

  const date = await put(new Date());
  readNested.remote({ ref: date });
  // @ts-expect-error a nested reference stays one
  readNested.remote({ ref: new Date() });
  // @ts-expect-error a nested reference of the wrong type
  readNested.remote({ ref: await put(1) });

  same<Awaited<ReturnType<typeof init>>, Cluster>(true);
  const value = await get(text);
  same<typeof value, string>(true);
  const tuple = await get([text, date, both[1]]);
  same<typeof tuple, [string, Date, number]>(true);
  const list = await get(three);
  same<typeof list, string[]>(true);
  // @ts-expect-error a value is no reference
  await get("text");
  // @ts-expect-error no such option
  await get(text, { timeout: 1 });
  const [ready, pending] = await wait(three, { count: 2, timeoutMs: 5, fetch: false });
  same<typeof ready, ObjectRef<string>[]>(true);
  same<typeof pending, ObjectRef<string>[]>(true);
  // @ts-expect-error no such option
  await wait(three, { numReturns: 2 });
  for await (const ref of asCompleted(three)) same<typeof ref, ObjectRef<string>>(true);
  await cancel(count.remote(1), { force: true, recursive: false });
  // @ts-expect-error nothing to cancel
  await cancel("text");
  {
    using scoped = await put([1, 2]);
    same<typeof scoped, ObjectRef<number[]>>(true);
    await using cluster = await init({ nodes: [{ cpus: 1, resources: { special: 1 } }] });
    same<typeof cluster, Cluster>(true);
  }
  // @ts-expect-error no such option
  await init({ cpu: 2 });
  // @ts-expect-error a reference is not thenable
  void text.then;
  // @ts-expect-error its id does not change
  text.id = date.id;
}

describe("types of tasks and objects", () => {
  it("tell wrong arguments, options and values when compiled", () => {
    expect(typesOnly).to.be.a("function");
    expect([area.remoteName, split.remoteName]).to.deep.equal(["area", "#1"]);
  });
});
