/**
 * The first words on a data connection: each side proves to the other that it knows the key of the port, without
 * saying it, and for this connection only (fresh nonces), for this direction and this dialler only (signed too).
 *
 *   dialler: Hello   version, name, nonce
 *   port:    Welcome version, nonce, proof
 *   dialler: Proven  proof, where its own port is (the key of that encrypted)
 *
 * A side that refuses says why before it hangs up.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  randomBytes,
  timingSafeEqual,
  type BinaryLike,
} from "node:crypto";
import {
  AuthError,
  dataAddress,
  optional,
  PROTOCOL_VERSION,
  ProtocolError,
  record,
  text,
  uint,
  type Check,
  type DataAddress,
  type StingrayError,
} from "@stingray/protocol";
import { Kind, type Frame } from "./frame.js";
import type { Wire } from "./wire.js";

const NONCE_BYTES = 16;
/** Largest frame before the peer is proven. */
export const GREETING_BYTES = 8 * 1024;
const MAX_NAME = 128;

/** What both sides share once they have proven themselves. */
export interface Session {
  /** Who dialled, by its own word. */
  readonly peer: string;
  /** Where the dialler can be asked for what it has itself. */
  readonly serves: DataAddress | undefined;
  readonly seal: Seal;
}

/** Encrypts the keys of ports for the way over a connection. */
export class Seal {
  readonly #key: Buffer;
  constructor(key: Buffer) {
    this.#key = key;
  }
  close(address: DataAddress): DataAddress {
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    const sealed = [nonce, cipher.update(address.key, "utf8"), cipher.final(), cipher.getAuthTag()];
    return { hosts: address.hosts, port: address.port, key: Buffer.concat(sealed).toString("base64") };
  }
  /** @throws ProtocolError if it was not sealed with the same key */
  open(address: DataAddress): DataAddress {
    const sealed = Buffer.from(address.key, "base64");
    if (sealed.length < 28) throw new ProtocolError("malformed data address: its key is too short");
    const cipher = createDecipheriv("aes-256-gcm", this.#key, sealed.subarray(0, 12));
    cipher.setAuthTag(sealed.subarray(-16));
    try {
      const key = Buffer.concat([cipher.update(sealed.subarray(12, -16)), cipher.final()]).toString("utf8");
      return { hosts: address.hosts, port: address.port, key };
    } catch (cause) {
      throw new ProtocolError("malformed data address: its key can't be read", { cause });
    }
  }
}

const hello = record<{ version: number; name: string; nonce: string }>({
  version: uint,
  name: text,
  nonce: text,
});
const welcome = record<{ version: number; nonce: string; proof: string }>({
  version: uint,
  nonce: text,
  proof: text,
});
const proven = record<{ proof: string; serves?: DataAddress | undefined }>({
  proof: text,
  serves: optional(dataAddress),
});
const refused = record<{ code: string; reason: string }>({ code: text, reason: text });

/** The body of a frame of words. @throws ProtocolError */
export function words<T>(check: Check<T>, body: Uint8Array): T {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString("utf8"));
  } catch (cause) {
    throw new ProtocolError("malformed message on a data connection: not JSON", { cause });
  }
  return check(value, "message");
}

/** The dialler's side. Feed it the frames that come; it returns the session with the one that completes it. */
export class Greeter {
  readonly #key: string;
  readonly #name: string;
  readonly #serves: DataAddress | undefined;
  readonly #nonce = randomBytes(NONCE_BYTES);

  constructor(options: { key: string; name: string; serves: DataAddress | undefined }) {
    this.#key = options.key;
    this.#name = options.name;
    this.#serves = options.serves;
  }

  start(wire: Wire): void {
    wire.say(Kind.Hello, 0, {
      version: PROTOCOL_VERSION,
      name: this.#name,
      nonce: this.#nonce.toString("base64"),
    });
  }

  /** @throws AuthError, ProtocolError */
  take(wire: Wire, frame: Frame, body: Uint8Array): Session {
    if (frame.kind === Kind.Refused) throw refusal(body, wire.remote);
    if (frame.kind !== Kind.Welcome)
      throw new ProtocolError(`what answers at ${wire.remote} is no data port of this cluster`);
    const said = words(welcome, body);
    sameVersion(said.version, wire.remote);
    const link: Parties = {
      key: this.#key,
      name: this.#name,
      dialler: this.#nonce,
      port: nonceOf(said.nonce),
    };
    if (!same(prove(link, "port"), said.proof))
      throw new AuthError(
        `the data port at ${wire.remote} does not know the key that was told for it: another agent may listen there now; ask its agent for the address again`,
      );
    const seal = new Seal(prove(link, "seal"));
    const serves = this.#serves === undefined ? undefined : seal.close(this.#serves);
    wire.say(Kind.Proven, 0, { proof: prove(link, "dialler").toString("base64"), serves });
    return { peer: this.#name, serves: this.#serves, seal };
  }
}

/** The port's side. */
export class Doorkeeper {
  readonly #key: string;
  #link: Parties | undefined;

  constructor(key: string) {
    this.#key = key;
  }

  /** undefined: more has to come. @throws AuthError, ProtocolError */
  take(wire: Wire, frame: Frame, body: Uint8Array): Session | undefined {
    if (this.#link === undefined) {
      if (frame.kind !== Kind.Hello) throw new ProtocolError("a data connection did not start with a hello");
      const said = words(hello, body);
      sameVersion(said.version, said.name.slice(0, MAX_NAME));
      if (said.name.length === 0 || said.name.length > MAX_NAME)
        throw new ProtocolError(`the name of a peer must have 1 to ${MAX_NAME} characters`);
      const nonce = randomBytes(NONCE_BYTES);
      this.#link = { key: this.#key, name: said.name, dialler: nonceOf(said.nonce), port: nonce };
      wire.say(Kind.Welcome, 0, {
        version: PROTOCOL_VERSION,
        nonce: nonce.toString("base64"),
        proof: prove(this.#link, "port").toString("base64"),
      });
      return undefined;
    }
    if (frame.kind !== Kind.Proven) throw new ProtocolError("a data connection did not go on with a proof");
    const said = words(proven, body);
    const { name } = this.#link;
    if (!same(prove(this.#link, "dialler"), said.proof))
      throw new AuthError(`${name} does not know the key of this data port; it was refused`);
    const seal = new Seal(prove(this.#link, "seal"));
    return { peer: name, serves: said.serves === undefined ? undefined : seal.open(said.serves), seal };
  }
}

interface Parties {
  readonly key: string;
  readonly name: string;
  readonly dialler: Uint8Array;
  readonly port: Uint8Array;
}

function prove(link: Parties, what: "port" | "dialler" | "seal"): Buffer {
  const parts: BinaryLike[] = [`stingray data ${what} ${link.name} `, link.dialler, link.port];
  const mac = createHmac("sha256", link.key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

function same(wanted: Buffer, given: string): boolean {
  const bytes = Buffer.from(given, "base64");
  return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
}

function nonceOf(text: string): Buffer {
  const nonce = Buffer.from(text, "base64");
  if (nonce.length === NONCE_BYTES) return nonce;
  throw new ProtocolError(`malformed handshake: a nonce must be ${NONCE_BYTES} bytes`);
}

function sameVersion(version: number, who: string): void {
  if (version === PROTOCOL_VERSION) return;
  throw new ProtocolError(
    `${who} speaks version ${version} of the protocol, this process version ${PROTOCOL_VERSION}: ` +
      `run the same release of stingray everywhere`,
  );
}

/** Says why, and hangs up. */
export function refuse(wire: Wire, error: StingrayError): void {
  wire.say(Kind.Refused, 0, { code: error.code, reason: error.message });
  wire.end(error);
}

/** The error that the port had when it hung up. */
export function refusal(body: Uint8Array, where: string): StingrayError {
  const said = words(refused, body);
  const Wrong = said.code === AuthError.code ? AuthError : ProtocolError;
  return new Wrong(`the data port at ${where} refused this process: ${said.reason.slice(0, 500)}`);
}
