/** What the compiler knows of pools and queues. Everything in `typesOnly` is checked by compiling it; it never runs. */
import { expect } from "chai";
import { get, remote, type ActorHandle, type ObjectRef } from "stingray";
import { ActorPool, Queue, Semaphore, type Barrier } from "stingray/util";

class Parser {
  parse(text: string): { words: number } {
    return { words: text.length };
  }
}
const RemoteParser = remote(Parser);
const takesQueue = remote(async (queue: Queue<string>): Promise<number> => (await queue.get()).length);

/** True where the types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(asExpected: Same<A, B>): void => void asExpected;

async function typesOnly(): Promise<void> {
  const pool = new ActorPool([RemoteParser.remote()]);
  same<typeof pool, ActorPool<ActorHandle<Parser>>>(true);
  for await (const result of pool.map((parser, text) => parser.parse.remote(text), ["a"])) {
    same<typeof result, { words: number }>(true);
  }
  // @ts-expect-error -- the method takes a text
  pool.map((parser, n) => parser.parse.remote(n), [1]);
  // @ts-expect-error -- there is no such method
  pool.map((parser) => parser.pares.remote(), [1]);
  // @ts-expect-error -- the function gives a reference
  pool.submit((_parser, n: number) => n, 1);
  same<Awaited<ReturnType<typeof pool.getNext<number>>>, number>(true);
  const queue = new Queue<string>({ maxSize: 3, actor: { name: "q" } });
  await queue.put("text", { timeoutMs: 5 });
  same<Awaited<ReturnType<typeof queue.get>>, string>(true);
  // @ts-expect-error -- items are texts
  await queue.put(3);
  // @ts-expect-error -- an unknown option
  void new Queue({ maxsize: 3 });
  same<Awaited<ReturnType<typeof takesQueue.remote>>, ObjectRef<number>>(true);
  await get(takesQueue.remote(queue));
  // @ts-expect-error -- a queue of other items
  takesQueue.remote(new Queue<number>());
  // @ts-expect-error -- the number of permits is not optional
  void new Semaphore();
  const permit: AsyncDisposable = await new Semaphore(1).acquire({ signal: new AbortController().signal });
  await permit[Symbol.asyncDispose]();
  same<Awaited<ReturnType<Barrier["wait"]>>, number>(true);
}

describe("the types of the utilities", () => {
  it("are checked by the compiler", () => {
    expect(typesOnly).to.be.a("function");
  });
});
