/** From a failed connection to the error that says what happened and what to do now. */
import { errors } from "@nats-io/transport-node";
import { AuthError, ConnectionError, StingrayError, toError } from "@stingray/protocol";
import { OLDEST_SERVER, isAtLeast } from "./features.js";
import { probe, type Greeting, type Probe } from "./probe.js";
import { describeAuth, type Address, type Target } from "./target.js";

/** Addresses that are looked at to explain a failure; more would say the same. */
const MAX_PROBES = 5;

/** Certificate errors that Node reports without a common prefix. */
const CERTIFICATE_CODES = new Set([
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_SIGNATURE_FAILURE",
  "CERT_REVOKED",
  "CERT_UNTRUSTED",
  "CERT_REJECTED",
  "CERT_CHAIN_TOO_LONG",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "HOSTNAME_MISMATCH",
  "EPROTO",
]);

export function urlsOf(target: Target): string {
  return target.addresses.map((address) => address.url).join(", ");
}

/** True where the server turned the credentials down, or let them expire. */
export function isRefusal(error: unknown): boolean {
  return error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError;
}

export function refusal(target: Target, cause: unknown): AuthError {
  const what =
    target.auth === undefined ? "wants credentials and got none" : `refused ${describeAuth(target.auth)}`;
  return new AuthError(
    `the broker at ${urlsOf(target)} ${what}: check the auth option (or STINGRAY_TOKEN, STINGRAY_USER and ` +
      "STINGRAY_PASSWORD, STINGRAY_CREDS) against the users in the server's configuration",
    { cause, detail: { servers: target.addresses.map((address) => address.url) } },
  );
}

export function tooOld(url: string, version: string): ConnectionError {
  return new ConnectionError(
    `the nats-server at ${url} is version ${version === "" ? "unknown" : version}, ` +
      `and ${OLDEST_SERVER} or newer is needed: upgrade it`,
    { detail: { version, needed: OLDEST_SERVER } },
  );
}

/** The typed error for whatever a first connection failed with. Never rejects; may take a second to look around. */
export async function explain(thrown: unknown, target: Target): Promise<StingrayError> {
  if (thrown instanceof StingrayError) return thrown;
  if (isRefusal(thrown)) return refusal(target, thrown);
  const addresses = target.addresses.slice(0, MAX_PROBES);
  const probes = await Promise.all(addresses.map((address) => probe(address)));
  const tlsCode = tlsCodeOf(thrown);
  for (const [index, seen] of probes.entries()) {
    if (seen.found !== "server") continue;
    const address = addresses[index] as Address;
    return explainServer(thrown, tlsCode, address, seen.greeting, target);
  }
  const seen = probes.map((result, index) => `${addresses[index]?.url} ${sentence(result)}`).join("; ");
  return new ConnectionError(
    `no broker can be reached: ${seen}. Start nats-server there, or correct the address ` +
      "(init({ address }) or STINGRAY_ADDRESS)",
    { cause: thrown, detail: { servers: target.addresses.map((address) => address.url) } },
  );
}

function explainServer(
  thrown: unknown,
  tlsCode: string | undefined,
  address: Address,
  greeting: Greeting,
  target: Target,
): StingrayError {
  const { url } = address;
  const more = { cause: thrown, detail: { servers: [url], version: greeting.version } };
  if (!isAtLeast(greeting.version, OLDEST_SERVER)) return tooOld(url, greeting.version);
  if (target.tls !== undefined && !greeting.tlsRequired && !greeting.tlsAvailable)
    return new ConnectionError(
      `the broker at ${url} offers no TLS, and TLS was asked for: configure tls {} on the server, or drop the tls option`,
      more,
    );
  if (greeting.tlsVerify && target.tls?.certFile === undefined)
    return new AuthError(
      `the broker at ${url} wants a client certificate: give tls.certFile and tls.keyFile`,
      more,
    );
  if (tlsCode !== undefined) {
    const text = `the TLS handshake with the broker at ${url} failed (${tlsCode}: ${toError(thrown).message})`;
    // An alert is the server's word on our certificate; everything else is our word on the server's.
    return tlsCode.includes("_ALERT_")
      ? new AuthError(
          `${text}: the server turned our certificate down; check tls.certFile and tls.keyFile`,
          more,
        )
      : new ConnectionError(
          `${text}: check that tls.caFile signed the server's certificate and that it names the host of the address`,
          more,
        );
  }
  return new ConnectionError(
    `the broker at ${url} answers, but the connection was not made: ${toError(thrown).message}. ` +
      "If the server is overloaded, give more time with timeoutMs; its log says more",
    more,
  );
}

function sentence(seen: Probe): string {
  switch (seen.found) {
    case "stranger":
      return "is something that does not speak NATS";
    case "silence":
      return "takes connections but says nothing (paused, or no NATS server)";
    case "nothing":
      return `does not answer (${seen.code})`;
    case "server":
      return "answers";
  }
}

/** The code of a TLS failure, looked for along the causes. */
function tlsCodeOf(thrown: unknown): string | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 8; error = error.cause, depth++) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== undefined && (/^ERR_(TLS|SSL|OSSL)_/.test(code) || CERTIFICATE_CODES.has(code))) return code;
  }
  return undefined;
}
