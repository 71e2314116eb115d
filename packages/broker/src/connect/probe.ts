/**
 * What is at an address? The NATS client reports many a failed connection as a bare timeout; a look at the
 * server's greeting says what went wrong. Only used to explain a failure, never before a connection.
 */
import { createConnection } from "node:net";
import type { Address } from "./target.js";

/** The parts of a server's greeting that explain refusals. */
export interface Greeting {
  version: string;
  authRequired: boolean;
  tlsRequired: boolean;
  tlsAvailable: boolean;
  /** The server wants a certificate from its clients. */
  tlsVerify: boolean;
}
export type Probe =
  | { found: "server"; greeting: Greeting }
  /** Something that is no NATS server. */
  | { found: "stranger" }
  /** The connection was taken, and nothing came. */
  | { found: "silence" }
  | { found: "nothing"; code: string };

const MAX_GREETING = 64 * 1024;

/** Never rejects. Takes at most `timeoutMs` milliseconds. */
export function probe(address: Address, timeoutMs = 1000): Promise<Probe> {
  return new Promise((resolve) => {
    const socket = createConnection(address.port, address.host);
    let connected = false;
    let received = "";
    const end = (result: Probe): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(
      () => end(connected ? { found: "silence" } : { found: "nothing", code: "ETIMEDOUT" }),
      timeoutMs,
    );
    socket.setEncoding("latin1");
    socket.on("connect", () => (connected = true));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      end({ found: "nothing", code: error.code ?? error.message }),
    );
    socket.on("close", () =>
      end(connected ? { found: "stranger" } : { found: "nothing", code: "ECONNRESET" }),
    );
    socket.on("data", (chunk: string) => {
      received += chunk;
      const line = received.indexOf("\r\n");
      if (line >= 0) end(read(received.slice(0, line)));
      else if (received.length > MAX_GREETING) end({ found: "stranger" });
    });
  });
}

function read(line: string): Probe {
  if (!line.startsWith("INFO ")) return { found: "stranger" };
  try {
    const info = JSON.parse(line.slice(5)) as Record<string, unknown>;
    return {
      found: "server",
      greeting: {
        version: typeof info["version"] === "string" ? info["version"] : "",
        authRequired: info["auth_required"] === true,
        tlsRequired: info["tls_required"] === true,
        tlsAvailable: info["tls_available"] === true,
        tlsVerify: info["tls_verify"] === true,
      },
    };
  } catch {
    return { found: "stranger" };
  }
}
