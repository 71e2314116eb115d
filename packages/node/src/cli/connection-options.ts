/** The options of every command that goes to a broker, and what they make. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { BrokerAuth, BrokerOptions, BrokerTls } from "@stingray/broker/connect";
import { DEFAULT_CLUSTER, DEFAULT_SUBJECT_ROOT, InvalidOptionError, toError } from "@stingray/protocol";
import { Option, type Command } from "commander";
import { parseUrls } from "./values.js";

/** As commander hands them over. */
export interface ConnectionFlags {
  address?: string[];
  token?: string;
  user?: string;
  password?: string;
  creds?: string;
  nkeySeedFile?: string;
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
}

export function addConnectionOptions(command: Command): Command {
  return command
    .addOption(
      new Option("-a, --address <url>", "NATS server to go to; may be repeated")
        .env("STINGRAY_ADDRESS")
        .argParser(parseUrls),
    )
    .addOption(new Option("--token <token>", "token for the broker").env("STINGRAY_TOKEN"))
    .addOption(new Option("--user <name>", "user for the broker").env("STINGRAY_USER"))
    .addOption(new Option("--password <password>", "and the password").env("STINGRAY_PASSWORD"))
    .addOption(new Option("--creds <file>", "NATS credentials file").env("STINGRAY_CREDS"))
    .addOption(new Option("--nkey-seed-file <file>", "file with an NKey seed").env("STINGRAY_NKEY_SEED_FILE"))
    .addOption(new Option("--tls-ca <file>", "certificates to trust (PEM)").env("STINGRAY_TLS_CA"))
    .addOption(new Option("--tls-cert <file>", "own certificate (PEM)").env("STINGRAY_TLS_CERT"))
    .addOption(new Option("--tls-key <file>", "its key (PEM)").env("STINGRAY_TLS_KEY"));
}

/** Which of the clusters on a broker is meant. */
export function addClusterOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--cluster <name>", "several may share one broker")
        .env("STINGRAY_CLUSTER")
        .default(DEFAULT_CLUSTER),
    )
    .addOption(
      new Option("--subject-root <root>", "first token of every NATS subject")
        .env("STINGRAY_SUBJECT_ROOT")
        .default(DEFAULT_SUBJECT_ROOT),
    );
}

/**
 * Where to go and with what. Undefined where no address was given.
 * @throws InvalidOptionError for options that exclude or need each other, and files that can't be read
 */
export function brokerOptionsOf(flags: ConnectionFlags): BrokerOptions | undefined {
  if (flags.address === undefined || flags.address.length === 0) return undefined;
  return { servers: flags.address, auth: authOf(flags), tls: tlsOf(flags) };
}

function authOf(flags: ConnectionFlags): BrokerAuth | undefined {
  const { token, user, password, creds, nkeySeedFile } = flags;
  const given = Object.entries({
    "--token": token,
    "--user": user,
    "--creds": creds,
    "--nkey-seed-file": nkeySeedFile,
  })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
  if (given.length > 1) {
    throw new InvalidOptionError(`${given.join(" and ")} exclude each other; give one of them`);
  }
  if ((user === undefined) !== (password === undefined)) {
    throw new InvalidOptionError("--user and --password (or STINGRAY_PASSWORD) go together; give both");
  }
  if (token !== undefined) return { token };
  if (user !== undefined && password !== undefined) return { user, password };
  if (creds !== undefined) return { credsFile: readable("--creds", creds) };
  if (nkeySeedFile !== undefined) {
    return { nkeySeed: readFileSync(readable("--nkey-seed-file", nkeySeedFile), "utf8").trim() };
  }
  return undefined;
}

function tlsOf({ tlsCa, tlsCert, tlsKey }: ConnectionFlags): BrokerTls | undefined {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new InvalidOptionError("--tls-cert and --tls-key go together; give both");
  }
  if (tlsCa === undefined && tlsCert === undefined) return undefined;
  return {
    caFile: tlsCa === undefined ? undefined : readable("--tls-ca", tlsCa),
    certFile: tlsCert === undefined ? undefined : readable("--tls-cert", tlsCert),
    keyFile: tlsKey === undefined ? undefined : readable("--tls-key", tlsKey),
  };
}

/** The absolute path of a file that can be read. */
function readable(option: string, path: string): string {
  const absolute = resolve(path);
  try {
    readFileSync(absolute);
  } catch (cause) {
    throw new InvalidOptionError(`${option}: ${absolute} can't be read (${toError(cause).message})`, {
      cause,
    });
  }
  return absolute;
}

/** A URL for people and files: without user, password and token. */
export function withoutCredentials(url: string): string {
  const at = url.lastIndexOf("@");
  const scheme = /^[a-z]+:\/\//i.exec(url)?.[0] ?? "";
  return at === -1 ? url : scheme + url.slice(at + 1);
}
