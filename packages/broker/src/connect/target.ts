/** From options to what the NATS client takes: addresses without secrets in them, credentials, TLS files. */
import { access, constants, readFile } from "node:fs/promises";
import {
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
  type Authenticator,
  type TlsOptions,
} from "@nats-io/transport-node";
import { InvalidOptionError, toError } from "@stingray/protocol";
import type { BrokerAuth, BrokerOptions, BrokerTls } from "./options.js";

/** Where a server listens. */
export interface Address {
  host: string;
  port: number;
  /** `nats://host:port`, fit for messages: no credentials. */
  url: string;
}
export interface Target {
  addresses: Address[];
  auth: BrokerAuth | undefined;
  tls: BrokerTls | undefined;
}

const SCHEMES = new Set(["nats:", "tls:"]);

/** @throws InvalidOptionError for an empty list or an address that can't be read */
export function targetOf(options: BrokerOptions): Target {
  if (options.servers.length === 0)
    throw new InvalidOptionError(
      "servers: at least one address is needed, for example nats://127.0.0.1:4222",
    );
  const target: Target = { addresses: [], auth: options.auth, tls: options.tls };
  for (const server of options.servers) {
    const url = parseUrl(server);
    target.addresses.push({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port === "" ? 4222 : Number(url.port),
      url: `${url.protocol}//${url.hostname}:${url.port === "" ? 4222 : url.port}`,
    });
    if (url.protocol === "tls:") target.tls ??= {};
    if (url.username !== "") target.auth ??= authOf(url);
  }
  return target;
}

function parseUrl(server: string): URL {
  const text = server.includes("://") ? server : `nats://${server}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !SCHEMES.has(url.protocol) || url.hostname === "") {
    // The text may hold a password: only what comes after it is shown.
    throw new InvalidOptionError(
      `servers: "${server.replace(/^.*@/, "")}" is no NATS address; write nats://host:4222 or tls://host:4222`,
    );
  }
  return url;
}

function authOf(url: URL): BrokerAuth {
  const user = decodeURIComponent(url.username);
  return url.password === "" ? { token: user } : { user, password: decodeURIComponent(url.password) };
}

/** What kind of credentials were given, for messages; never the secret itself. */
export function describeAuth(auth: BrokerAuth | undefined): string {
  if (auth === undefined) return "no credentials";
  if ("token" in auth) return "a token";
  if ("user" in auth) return `a password for user "${auth.user}"`;
  return "credsFile" in auth ? `the credentials file ${auth.credsFile}` : "an nkey";
}

/** @throws InvalidOptionError where the credentials file can't be read */
export async function authenticatorOf(auth: BrokerAuth | undefined): Promise<Authenticator | undefined> {
  if (auth === undefined) return undefined;
  if ("token" in auth) return tokenAuthenticator(auth.token);
  if ("user" in auth) return usernamePasswordAuthenticator(auth.user, auth.password);
  if ("nkeySeed" in auth) return nkeyAuthenticator(new TextEncoder().encode(auth.nkeySeed));
  try {
    return credsAuthenticator(await readFile(auth.credsFile));
  } catch (error) {
    throw unreadable("auth.credsFile", auth.credsFile, error);
  }
}

/** @throws InvalidOptionError where a file can't be read, or a certificate comes without its key */
export async function tlsOptionsOf(tls: BrokerTls | undefined): Promise<TlsOptions | undefined> {
  if (tls === undefined) return undefined;
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined))
    throw new InvalidOptionError("tls: certFile and keyFile belong together; give both or none");
  const options: TlsOptions = {};
  for (const name of ["caFile", "certFile", "keyFile"] as const) {
    const path = tls[name];
    if (path === undefined) continue;
    try {
      await access(path, constants.R_OK);
    } catch (error) {
      throw unreadable(`tls.${name}`, path, error);
    }
    options[name] = path;
  }
  return options;
}

function unreadable(option: string, path: string, error: unknown): InvalidOptionError {
  return new InvalidOptionError(`${option}: can't read ${path} (${toError(error).message})`, {
    cause: error,
  });
}
