/** One connection to the broker that outlives every restart of it. */
import { connect, type ConnectionOptions, type NatsConnection } from "@nats-io/transport-node";
import { explain, isRefusal, tooOld, urlsOf } from "./explain.js";
import { OLDEST_SERVER, isAtLeast, serverVersion } from "./features.js";
import { stayInBackground } from "./background.js";
import type { BrokerOptions } from "./options.js";
import { dropWhenStale } from "./stale.js";
import { authenticatorOf, targetOf, tlsOptionsOf, type Target } from "./target.js";

const DEFAULT_TIMEOUT_MS = 5000;
const DEFAULT_PING_MS = 3000;
/** Least time for one of several servers to answer. */
const MIN_DIAL_MS = 1000;
/** Unanswered pings after which the connection counts as dead. */
const MAX_PINGS_OUT = 2;

/**
 * Connects, and from then on reconnects for ever, with short waits, until `close()` or `drain()`. Not even refused
 * credentials end it: a server that restarts under load answers so too, and a rotated password may come back.
 *
 * @throws ConnectionError where no server is reached within `timeoutMs`, TLS fails, or the server is too old
 * @throws AuthError where the server refuses the credentials or wants some
 * @throws InvalidOptionError where an address is malformed or a file is missing
 */
export async function connectBroker(options: BrokerOptions): Promise<NatsConnection> {
  const target = targetOf(options);
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const pace = new Pace();
  const settings: ConnectionOptions = {
    servers: target.addresses.map(
      (address) => `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`,
    ),
    timeout: Math.max(Math.floor(timeoutMs / target.addresses.length), Math.min(MIN_DIAL_MS, timeoutMs)),
    maxReconnectAttempts: -1,
    waitOnFirstConnect: false,
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: () => pace.waitMs(),
    pingInterval: options.pingIntervalMs ?? DEFAULT_PING_MS,
    maxPingOut: MAX_PINGS_OUT,
    // A stack for each request costs more than the request.
    noAsyncTraces: true,
  };
  const [authenticator, tls] = await Promise.all([authenticatorOf(target.auth), tlsOptionsOf(target.tls)]);
  if (authenticator !== undefined) settings.authenticator = authenticator;
  if (tls !== undefined) settings.tls = tls;
  if (options.name !== undefined) settings.name = options.name;

  let nc: NatsConnection;
  try {
    nc = await within(connect(settings), timeoutMs, target);
  } catch (error) {
    throw await explain(error, target);
  }
  const version = serverVersion(nc);
  if (!isAtLeast(version, OLDEST_SERVER)) {
    await nc.close();
    throw tooOld(urlsOf(target), version);
  }
  void pace.follow(nc);
  dropWhenStale(nc);
  if (options.background === true) stayInBackground(nc);
  return nc;
}

/** How long to wait between attempts to reconnect: hardly, unless the server says that it does not want us. */
class Pace {
  private refused = false;

  waitMs(): number {
    return this.refused ? 1000 + Math.random() * 1000 : 100 + Math.random() * 150;
  }

  async follow(nc: NatsConnection): Promise<void> {
    for await (const status of nc.status()) {
      if (status.type === "error" && isRefusal(status.error)) this.refused = true;
      else if (status.type === "reconnect") this.refused = false;
    }
  }
}

/** The client's own limit is per server and does not cover name resolution, so there is one around all of it. */
async function within(
  connecting: Promise<NatsConnection>,
  timeoutMs: number,
  target: Target,
): Promise<NatsConnection> {
  let timer: NodeJS.Timeout | undefined;
  let late = false;
  // Two reasons can be known at once: the client's is the better one, so it gets a little longer.
  const graceMs = 100;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      late = true;
      reject(new Error(`no connection to ${urlsOf(target)} within ${timeoutMs} ms`));
    }, timeoutMs + graceMs);
  });
  connecting.then(
    (nc) => (late ? nc.close() : undefined),
    () => undefined, // reported by the race below, or too late to matter
  );
  try {
    return await Promise.race([connecting, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
