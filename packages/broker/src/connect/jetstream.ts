/** Does the broker have JetStream, for this account and user? */
import { errors, type NatsConnection } from "@nats-io/transport-node";
import { AuthError, ConnectionError } from "@stingray/protocol";
import { OLDEST_SERVER } from "./features.js";

/** API error codes of the server (numbers are its API, texts are not). */
const NOT_ENABLED = new Set([10039 /* account */, 10076 /* server */]);
/** No leader yet, or a server that is starting: worth another try. */
const NOT_YET = new Set([10008, 10009]);

const RETRY_MS = 50;
/** A cluster without a leader drops the question: better to ask again than to wait for long. */
const ATTEMPT_MS = 1000;

interface InfoReply {
  error?: { code?: number; err_code?: number; description?: string };
}

type Answer =
  | { state: "ready" }
  | { state: "not-yet"; cause: unknown }
  | { state: "failed"; error: AuthError | ConnectionError };

/**
 * Resolves when JetStream answers. A cluster that is electing its leader gets until `timeoutMs` (default 5000 ms).
 *
 * @throws ConnectionError where the server or the account has no JetStream, or it does not answer in time
 * @throws AuthError where the user may not use its API
 */
export async function requireJetStream(
  nc: NatsConnection,
  options: { timeoutMs?: number } = {},
): Promise<void> {
  const timeoutMs = options.timeoutMs ?? 5000;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask(nc, Math.min(Math.max(deadline - Date.now(), RETRY_MS), ATTEMPT_MS));
    if (answer.state === "ready") return;
    if (answer.state === "failed") throw answer.error;
    if (Date.now() + RETRY_MS >= deadline)
      throw new ConnectionError(
        `JetStream at ${nc.getServer()} gave no answer within ${timeoutMs} ms: in a cluster, see that a majority of its servers runs`,
        { cause: answer.cause },
      );
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function ask(nc: NatsConnection, timeoutMs: number): Promise<Answer> {
  try {
    const reply = await nc.request("$JS.API.INFO", new Uint8Array(0), { timeout: timeoutMs });
    const { error } = reply.json<InfoReply>();
    if (error === undefined) return { state: "ready" };
    return judge(error, nc);
  } catch (error) {
    // In a cluster the first server without JetStream still forwards: only silence of all is this.
    if (
      error instanceof errors.NoRespondersError ||
      (error instanceof errors.RequestError && error.isNoResponders())
    )
      return nc.info?.jetstream === true
        ? { state: "not-yet", cause: error } // it is still starting
        : { state: "failed", error: without(nc, "the server", error) };
    if (isDenied(error))
      return {
        state: "failed",
        error: new AuthError(
          'this user may not publish to "$JS.API.INFO" (or subscribe to its inbox): JetStream is for agents and workers; ' +
            "connect as one of them, or grant the permission",
          { cause: error },
        ),
      };
    if (error instanceof errors.TimeoutError) return { state: "not-yet", cause: error };
    const cause = error instanceof Error ? error.message : String(error);
    return {
      state: "failed",
      error: new ConnectionError(`asking for JetStream failed: ${cause}`, { cause: error }),
    };
  }
}

function judge(error: NonNullable<InfoReply["error"]>, nc: NatsConnection): Answer {
  const code = error.err_code ?? 0;
  if (NOT_ENABLED.has(code)) return { state: "failed", error: without(nc, "the account", error.description) };
  if (NOT_YET.has(code)) return { state: "not-yet", cause: error.description };
  return {
    state: "failed",
    error: new ConnectionError(
      `JetStream at ${nc.getServer()} answered with error ${code}: ${error.description}`,
    ),
  };
}

function without(nc: NatsConnection, what: string, cause: unknown): ConnectionError {
  return new ConnectionError(
    `${what} at ${nc.getServer()} has no JetStream, which the control store needs: start nats-server ${OLDEST_SERVER} ` +
      "or newer with -js or with jetstream {} in its configuration, and enable it for the account",
    { cause },
  );
}

function isDenied(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause)
    if (e instanceof errors.PermissionViolationError) return true;
  return false;
}
