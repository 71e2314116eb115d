/** Which arguments the compiler lets through, for tasks and actors alike. What is in `typesOnly` is compiled and never runs. */
import { expect } from "chai";
import {
  put,
  remote,
  type ActorHandle,
  type ObjectRef,
  type ObjectRefStream,
  type RemoteFunction,
} from "stingray";

/** True where the types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(asExpected: Same<A, B>): void => void asExpected;

class Point {
  constructor(readonly x: number) {}
  norm(): number {
    return this.x;
  }
}
interface Listener {
  onEvent(name: string): void;
}
type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
type Tree = { value: number; left?: Tree; right?: Tree };
enum Colour {
  Red,
  Green,
}

class Keeper<T> {
  private kept: T | undefined;
  keep(value: T): void {
    this.kept = value;
  }
  keepAll(values: T[], more: { by: Map<string, T>; last?: T }): number {
    this.kept = more.last;
    return values.length;
  }
  size(): number {
    return this.kept === undefined ? 0 : 1;
  }
}
class Watched {
  constructor(
    readonly name: string,
    readonly watch: (event: string) => void,
  ) {}
}
class Calls {
  each(_use: (n: number) => void): void {}
  later(_n: number, _done?: () => void): void {}
  tell(_to: ActorHandle<Calls>, _all: { list: ActorHandle<Calls>[] }): void {}
  generic<T>(value: T): T {
    return value;
  }
  load(id: number): Promise<Point>;
  load(name: string, fresh: boolean): Promise<Point[]>;
  async load(what: number | string, _fresh?: boolean): Promise<Point | Point[]> {
    return typeof what === "number" ? new Point(what) : [];
  }
  either(): number | string {
    return 1;
  }
  fails(): never {
    throw new RangeError("always");
  }
  async failsLater(): Promise<never> {
    throw new RangeError("always");
  }
  truth(): boolean {
    return true;
  }
  *some(count: number): Generator<Point> {
    yield new Point(count);
  }
}
const RemoteCalls = remote(Calls);

async function actors(): Promise<void> {
  const calls = RemoteCalls.remote();
  calls.tell.remote(calls, { list: [calls] });
  calls.later.remote(1);
  calls.later.remote(await put(1), undefined);
  // @ts-expect-error a function, for a constructor
  remote(Watched).remote("name", () => {});
  // @ts-expect-error a function, where one is declared
  calls.later.remote(1, () => {});
  // @ts-expect-error a function
  calls.each.remote((n) => void n);
  // @ts-expect-error also with options
  calls.each.options({ maxTaskRetries: 1 }).remote((n: number) => void n);

  same<ReturnType<typeof calls.some.remote>, ObjectRefStream<Point>>(true);
  same<ReturnType<typeof calls.either.remote>, ObjectRef<number | string>>(true);
  same<ReturnType<typeof calls.truth.remote>, ObjectRef<boolean>>(true);
  same<ReturnType<typeof calls.fails.remote>, ObjectRef<never>>(true);
  same<ReturnType<typeof calls.failsLater.remote>, ObjectRef<never>>(true);
  const one = calls.load.remote(1);
  same<typeof one, ObjectRef<Point>>(true);
  const many = calls.load.options({ timeoutMs: 5 }).remote(await put("name"), true);
  same<typeof many, ObjectRef<Point[]>>(true);
  // @ts-expect-error of neither overload
  calls.load.remote("name");
  // @ts-expect-error no such option
  calls.load.options({ retries: 1 });
  calls.generic.remote({ of: [1] });
}

/** For any type of values. */
async function generic<T>(keeper: ActorHandle<Keeper<T>>, value: T, list: readonly T[]): Promise<void> {
  keeper.keep.remote(value);
  keeper.keep.remote(await put(value));
  keeper.keepAll.remote([...list], { by: new Map([["one", value]]), last: value });
  same<ReturnType<typeof keeper.size.remote>, ObjectRef<number>>(true);
}
function genericTask<T extends object>(task: RemoteFunction<[T, { inner: T[] }], number>, value: T): void {
  task.remote(value, { inner: [value] });
  remote((_kept: T, ...others: T[]) => others.length).remote(value, value);
}

async function tasks(): Promise<void> {
  const callback = remote((_f: () => void) => 1);
  // @ts-expect-error a function
  callback.remote(() => {});
  const cls = remote((_c: new () => Point) => 1);
  // @ts-expect-error a class
  cls.remote(class extends Point {});
  const nested = remote((_o: { name: string; list: { use: () => void }[] }) => 1);
  // @ts-expect-error a function, inside
  nested.remote({ name: "a", list: [{ use: () => {} }] });
  const tuple = remote((_t: readonly [number, symbol]) => 1);
  // @ts-expect-error a symbol, in a tuple
  tuple.remote([1, Symbol("x")]);
  const inMap = remote((_m: Map<string, Promise<number>>) => 1);
  // @ts-expect-error promises, in a map
  inMap.remote(new Map());
  const promised = remote((_p: Promise<number>) => 1);
  // @ts-expect-error a promise
  promised.remote(Promise.resolve(1));
  const weak = remote((_m: WeakMap<Point, 1>, _s: WeakSet<Point>, _r: WeakRef<Point>) => 1);
  // @ts-expect-error weak collections
  weak.remote(new WeakMap(), new WeakSet(), new WeakRef(new Point(1)));
  const signal = remote((_s: AbortSignal) => 1);
  // @ts-expect-error a signal is an option
  signal.remote(AbortSignal.timeout(1));
  const stream = remote((_s: ObjectRefStream<number>) => 1);
  // @ts-expect-error a stream stays where it is
  stream.remote(RemoteCalls.remote().some.remote(1) as unknown as ObjectRefStream<number>);

  remote((_p: Point, _l: Listener, _o: { at: Point }) => 1).remote(
    new Point(1),
    { onEvent() {} },
    { at: new Point(1) },
  );
  remote((_m: Map<Point, Set<object>>, _d: Date, _b: Uint8Array, _e: Error, _r: RegExp) => 1).remote(
    new Map([[new Point(1), new Set([{}])]]),
    new Date(),
    new Uint8Array(),
    new RangeError(""),
    /x/,
  );
  remote((_j: Json, _t: Tree, _c: Colour, _n: bigint, _s: [number, string?]) => 1).remote(
    { a: [null, { b: true }] },
    { value: 1, left: { value: 2 } },
    Colour.Green,
    1n,
    [1],
  );
  remote((_u: unknown, _o: object, _e: {}, _n: never[]) => 1).remote(1, {}, 2, []);
  remote((_u: string | (() => void), _o: { done?: () => void; n: number }) => 1).remote("x", { n: 1 });
  remote((_r: { ref: ObjectRef<Date> }, ..._more: number[]) => 1).remote(
    { ref: await put(new Date()) },
    1,
    2,
  );
}

describe("types of arguments", () => {
  it("refuse what can't be sent, and nothing else, when compiled", () => {
    expect([actors, generic, genericTask, tasks]).to.have.length(4);
  });
});
