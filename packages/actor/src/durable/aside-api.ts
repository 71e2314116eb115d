/** Calls that were set aside: they made their process end again and again, or failed when nobody was there to hear it. */
import { InvalidArgumentError, Mailbox, decodeError, type StingrayError } from "@stingray/protocol";
import { ActorClients, settledClaim } from "../clients.js";
import { partsOf } from "../handle.js";

/** A call of an actor with a durable mailbox that was set aside. */
export interface CallSetAside {
  /** For {@link retryCall} and {@link dropCall}. */
  readonly id: string;
  readonly method: string;
  /** The process that made it; undefined: a reminder. */
  readonly caller: string | undefined;
  readonly callId: string | undefined;
  /** How often it was begun, as far as is known. */
  readonly tries: number;
  readonly error: StingrayError;
  /** When it was set aside. */
  readonly at: Date;
}

/**
 * The calls of the actor that were set aside, oldest first.
 * @throws InvalidArgumentError where it has no durable mailbox; ActorDiedError
 */
export async function callsSetAside(handle: unknown): Promise<CallSetAside[]> {
  const { clients, actor } = await known(handle, "callsSetAside");
  const { calls } = await clients.processRuntime.home.request(Mailbox.listSetAside, { actor });
  return calls.map(({ id, method, producer, callId, tries, error, at }) => ({
    id,
    method,
    caller: producer === "" ? undefined : producer,
    callId,
    tries,
    error: decodeError(error),
    at: new Date(at),
  }));
}

/**
 * Has a call that was set aside run again, behind all that waits. Nobody hears its answer; if it fails it is set aside again.
 * @returns false where there is none of that id
 */
export function retryCall(handle: unknown, id: string): Promise<boolean> {
  return resolve(handle, id, "retry");
}

/**
 * Forgets a call that was set aside.
 * @returns false where there is none of that id
 */
export function dropCall(handle: unknown, id: string): Promise<boolean> {
  return resolve(handle, id, "drop");
}

async function resolve(handle: unknown, id: string, how: "retry" | "drop"): Promise<boolean> {
  const { clients, actor } = await known(handle, how === "retry" ? "retryCall" : "dropCall");
  const { found } = await clients.processRuntime.home.request(Mailbox.resolveSetAside, { actor, id, how });
  return found;
}

/** Its id, once its creation was answered. */
async function known(handle: unknown, what: string): Promise<{ clients: ActorClients; actor: string }> {
  const parts = partsOf(handle);
  if (parts === undefined)
    throw new InvalidArgumentError(
      `${what}() takes the handle of an actor, as remote(Class).remote() returns it`,
    );
  const clients = ActorClients.of(`${what}()`);
  await clients.processRuntime.during(settledClaim(parts.client));
  const { state, id } = parts.client.current;
  if (state.kind === "dead") throw state.error;
  return { clients, actor: id };
}
