/** What the compiler knows of handles: the methods of the class, with their arguments and results. */
import type { CallOptions } from "@stingray/protocol";
import type { RemoteArgs, RemoteResult, RemoteResults } from "@stingray/task";

/** A method of an actor as its handle has it. */
export interface ActorMethod<A extends unknown[], R, Result = RemoteResult<R>> {
  /**
   * Calls the method and returns at once. Calls of one process run in the order in which they were made, over
   * all its handles. (Where a handle of `getIfExists` waits for references among its constructor's arguments, its calls
   * come in when it is known that it is of the same actor.)
   * @throws SerializationError; PendingCallsLimitError; InvalidArgumentError where the class has no such method
   */
  remote(...args: RemoteArgs<A>): Result;
  /**
   * The same method with options for the calls made on the result.
   * @throws InvalidOptionError
   */
  options<const O extends CallOptions>(
    options: O,
  ): ActorMethod<A, R, O extends { returns: number } ? RemoteResults<R> : Result>;
}

/** A method with overloads: its calls have those overloads, the last three of them. */
export interface OverloadedActorMethod<Remote, Last> {
  readonly remote: Remote;
  /**
   * The same method with options for the calls made on the result; with `returns`, the last overload.
   * @throws InvalidOptionError
   */
  options<const O extends CallOptions>(
    options: O,
  ): O extends { returns: number } ? Last : OverloadedActorMethod<Remote, Last>;
}

type Call<A extends unknown[], R> = (...args: RemoteArgs<A>) => RemoteResult<R>;

/** Where there are fewer overloads, the first is repeated. A generic method is seen with its type parameters unknown. */
type MethodOf<F> = F extends {
  (...args: infer A1): infer R1;
  (...args: infer A2): infer R2;
  (...args: infer A3): infer R3;
}
  ? [A1, R1, A3, R3] extends [A3, R3, A1, R1]
    ? ActorMethod<A3, R3>
    : OverloadedActorMethod<
        Call<A1, R1> & Call<A2, R2> & Call<A3, R3>,
        ActorMethod<A3, R3, RemoteResults<R3>>
      >
  : never;

/** The methods of `T`, each as `handle.method.remote(...)`. */
export type ActorHandle<T> = {
  readonly [K in keyof T as T[K] extends (...args: never[]) => unknown ? K : never]: MethodOf<T[K]>;
} & AsyncDisposable & {
    /** Types only: keeps the handles of different classes apart. */
    readonly __class?: T;
  };
