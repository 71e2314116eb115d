/**
 * The first words on a socket: each side proves to the other that it knows the secret of the node, without saying it,
 * and for this connection only (fresh nonces), for this direction and these processes only (they are signed too).
 *
 *   dialler:  [hello, version, process, nonce]
 *   acceptor: [welcome, version, process, nonce, proof]
 *   dialler:  [proven, proof]
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";
import {
  AuthError,
  ConnectionError,
  isProcessId,
  PROTOCOL_VERSION,
  ProtocolError,
  toError,
} from "@stingray/protocol";
import type { ProcessId } from "@stingray/protocol";
import { readItem } from "./cbor-read.js";
import { Writer } from "./cbor-write.js";
import { Deframer } from "./deframer.js";
import { LENGTH_BYTES } from "./frame.js";

const Word = { Hello: "hello", Welcome: "welcome", Proven: "proven" } as const;
const NONCE_BYTES = 16;
/** Largest message before the peer is proven. */
const HANDSHAKE_BYTES = 1024;

/** How it ends, exactly one of the two. */
export interface Outcome {
  /** The peer is proven. More frames may be waiting in `deframer`: `take` and `most` have to be set within this call. */
  proven(process: ProcessId, deframer: Deframer): void;
  /** AuthError, ConnectionError or ProtocolError; the socket is destroyed. */
  failed(error: Error): void;
}

export interface HandshakeOptions {
  process: ProcessId;
  secret: string;
  /** Milliseconds for the whole handshake. */
  timeoutMs: number;
}

/** The dialler's side, on a connected socket. */
export function greet(socket: Socket, peer: ProcessId, options: HandshakeOptions, outcome: Outcome): void {
  const nonce = randomBytes(NONCE_BYTES);
  converse(socket, options.timeoutMs, outcome, (message, done) => {
    const [word, version, process, theirs, proof] = message;
    if (word !== Word.Welcome)
      throw new ProtocolError(`expected a welcome on the socket of ${peer}, got something else`);
    sameVersion(version, peer);
    if (process !== peer) throw new AuthError(`the socket of ${peer} is served by another process`);
    const parties: Parties = {
      dialler: options.process,
      acceptor: peer,
      diallerNonce: nonce,
      acceptorNonce: bytesOf(theirs),
    };
    verify(options.secret, "acceptor", parties, proof, peer);
    say(socket, [Word.Proven, prove(options.secret, "dialler", parties)]);
    done(peer);
  });
  say(socket, [Word.Hello, PROTOCOL_VERSION, options.process, nonce]);
}

/** The acceptor's side. `mayEnter` is asked when the peer says who it is, before it is proven; false ends it. */
export function receive(
  socket: Socket,
  options: HandshakeOptions,
  mayEnter: (claimed: ProcessId) => boolean,
  outcome: Outcome,
): void {
  const nonce = randomBytes(NONCE_BYTES);
  let parties: Parties | undefined;
  converse(socket, options.timeoutMs, outcome, (message, done) => {
    if (parties === undefined) {
      const [word, version, process, theirs] = message;
      if (word !== Word.Hello || !isProcessId(process))
        throw new ProtocolError("a socket did not start with a hello");
      sameVersion(version, process);
      if (!mayEnter(process))
        throw new ConnectionError(`${process} is already being connected the other way round`);
      parties = {
        dialler: process,
        acceptor: options.process,
        diallerNonce: bytesOf(theirs),
        acceptorNonce: nonce,
      };
      const proof = prove(options.secret, "acceptor", parties);
      say(socket, [Word.Welcome, PROTOCOL_VERSION, options.process, nonce, proof]);
    } else {
      const [word, proof] = message;
      if (word !== Word.Proven)
        throw new ProtocolError(`expected a proof from ${parties.dialler}, got something else`);
      verify(options.secret, "dialler", parties, proof, parties.dialler);
      done(parties.dialler);
    }
  });
}

interface Parties {
  dialler: ProcessId;
  acceptor: ProcessId;
  diallerNonce: Uint8Array;
  acceptorNonce: Uint8Array;
}

function prove(secret: string, role: "dialler" | "acceptor", parties: Parties): Buffer {
  return createHmac("sha256", secret)
    .update(`stingray ${role} ${parties.dialler} ${parties.acceptor} `)
    .update(parties.diallerNonce)
    .update(parties.acceptorNonce)
    .digest();
}

function verify(
  secret: string,
  role: "dialler" | "acceptor",
  parties: Parties,
  proof: unknown,
  who: ProcessId,
): void {
  const wanted = prove(secret, role, parties);
  const given =
    proof instanceof Uint8Array && proof.length === wanted.length ? proof : Buffer.alloc(wanted.length);
  if (!timingSafeEqual(wanted, given))
    throw new AuthError(
      `${who} could not prove on its socket that it knows the secret of this node; it was refused`,
    );
}

function sameVersion(version: unknown, who: ProcessId): void {
  if (version !== PROTOCOL_VERSION)
    throw new ProtocolError(
      `${who} speaks version ${String(version)} of the protocol, this process version ${PROTOCOL_VERSION}: ` +
        `run the same release of stingray everywhere`,
    );
}

function bytesOf(nonce: unknown): Uint8Array {
  if (nonce instanceof Uint8Array && nonce.length === NONCE_BYTES) return nonce;
  throw new ProtocolError(`malformed handshake: a nonce must be ${NONCE_BYTES} bytes`);
}

function say(socket: Socket, message: readonly unknown[]): void {
  const writer = new Writer(256);
  writer.at = LENGTH_BYTES;
  writer.value(message);
  writer.buffer.writeUInt32LE(writer.at - LENGTH_BYTES, 0);
  socket.write(writer.buffer.subarray(0, writer.at));
}

/** Takes messages from the socket until `hear` calls `done`, throws, the socket ends, or time is up. */
function converse(
  socket: Socket,
  timeoutMs: number,
  outcome: Outcome,
  hear: (message: readonly unknown[], done: (peer: ProcessId) => void) => void,
): void {
  let settled = false;
  const settle = (): void => {
    settled = true;
    clearTimeout(timer);
    socket.off("data", data);
    socket.off("close", closed);
  };
  const fail = (error: Error): void => {
    if (settled) return;
    settle();
    socket.destroy();
    outcome.failed(error);
  };
  const closed = (): void => fail(new ConnectionError("a socket was closed during the handshake"));
  const deframer = new Deframer(HANDSHAKE_BYTES, (buffer, start, end) => {
    const message = readItem(buffer, start, end);
    if (!Array.isArray(message)) throw new ProtocolError("malformed handshake: a message must be an array");
    hear(message as unknown[], (process) => {
      settle();
      outcome.proven(process, deframer);
    });
  });
  const data = (chunk: Buffer): void => {
    try {
      deframer.feed(chunk);
    } catch (error) {
      if (settled) socket.destroy(toError(error));
      else fail(toError(error));
    }
  };
  const timer = setTimeout(
    () => fail(new ConnectionError(`the handshake on a socket took longer than ${timeoutMs} ms`)),
    timeoutMs,
  ).unref();
  socket.on("data", data);
  socket.on("close", closed);
  socket.on("error", () => {}); // 'close' follows, and says enough
}
