/** Reaches a data port and goes through the handshake, by whichever of its addresses answers first. */
import { AuthError, ConnectionError, ProtocolError, type DataAddress } from "@stingray/protocol";
import { Greeter, GREETING_BYTES, type Session } from "./handshake.js";
import { Wire, type WireEvents } from "./wire.js";

/** An address that has not answered for so long is no longer waited for alone. Milliseconds. */
const STAGGER_MS = 250;

export interface Dialled {
  readonly wire: Wire;
  readonly session: Session;
}

export interface DialOptions {
  readonly name: string;
  /** Where this process can be asked for what it has. */
  readonly serves: DataAddress | undefined;
  /** For everything together. */
  readonly timeoutMs: number;
}

/** @throws AuthError, ProtocolError, ConnectionError: of the address that came furthest */
export function dial(address: DataAddress, options: DialOptions): Promise<Dialled> {
  return new Promise((resolve, reject) => {
    const hosts = [...new Set(address.hosts)];
    const wires = new Set<Wire>();
    let failure: Error | undefined;
    let stagger: NodeJS.Timeout | undefined;
    let settled = false;

    const settle = (finish: () => void): void => {
      if (settled) return;
      settled = true;
      clearTimeout(deadline);
      clearTimeout(stagger);
      finish();
      const late = new ConnectionError("another address of the same port was faster");
      for (const wire of wires) wire.destroy(late);
    };
    const failed = (error: Error): void => {
      // What a proven or refusing port says tells more than that nobody answered elsewhere.
      if (failure === undefined || error instanceof AuthError || error instanceof ProtocolError)
        failure = error;
      if (settled) return;
      if (hosts.length > 0) next();
      else if (wires.size === 0) settle(() => reject(failure));
    };
    const next = (): void => {
      clearTimeout(stagger);
      const host = hosts.shift();
      if (host === undefined) return;
      const wire = attempt(host, address, options, {
        proven: (session) => {
          wires.delete(wire);
          settle(() => resolve({ wire, session }));
        },
        failed: (error) => {
          wires.delete(wire);
          failed(error);
        },
      });
      wires.add(wire);
      if (hosts.length > 0) stagger = setTimeout(next, STAGGER_MS);
    };
    const where = `${address.hosts.join(" or ")} port ${address.port}`;
    const deadline = setTimeout(() => {
      const late = new ConnectionError(
        `no data port answered at ${where} within ${options.timeoutMs} ms; if a firewall lies between, open the port, else bytes go over the broker`,
      );
      settle(() => reject(failure ?? late));
    }, options.timeoutMs);
    if (hosts.length === 0)
      settle(() =>
        reject(new ConnectionError("this node has no address for its data port: bytes go over the broker")),
      );
    else next();
  });
}

interface Outcome {
  proven(session: Session): void;
  failed(error: Error): void;
}

function attempt(host: string, address: DataAddress, options: DialOptions, outcome: Outcome): Wire {
  const greeter = new Greeter({ key: address.key, name: options.name, serves: options.serves });
  const events: WireEvents = {
    room: (frame) => {
      if (frame.length > GREETING_BYTES) throw new ProtocolError(`what answers at ${host} is no data port`);
      return new Uint8Array(frame.length);
    },
    take: (frame, body) => outcome.proven(greeter.take(wire, frame, body)),
    closed: (error) => outcome.failed(error),
  };
  const wire: Wire = Wire.dial(host, address.port, events, () => greeter.start(wire));
  return wire;
}
