/** The options of `init()`. */
import { isDeepStrictEqual } from "node:util";
import type { NatsConnection } from "@nats-io/nats-core";
import type { BrokerAuth, BrokerTls } from "@stingray/broker/connect";
import {
  RUNTIME_ENV_RULES,
  amount,
  amounts,
  checkOptions,
  choice,
  nested,
  optionBool,
  optionText,
  textOrList,
  texts,
  wholeNumber,
  type OptionRule,
  type OptionRules,
  type RuntimeEnv,
} from "@stingray/protocol";

/** One node of an embedded cluster. */
export interface NodeOptions {
  /** @defaultValue the machine's processors */
  cpus?: number | undefined;
  /** @defaultValue what `nvidia-smi` finds, within CUDA_VISIBLE_DEVICES; nodes of one program share them */
  gpus?: number | undefined;
  /** Bytes that tasks may reserve. @defaultValue half of the machine's memory */
  memory?: number | undefined;
  /** Further resources, by name. @defaultValue none */
  resources?: Record<string, number> | undefined;
  /** What tasks and actors may ask for with `labels`. @defaultValue `accelerator-type`, by the name of the GPUs */
  labels?: Record<string, string> | undefined;
  /** Bytes. @defaultValue 30 % of the machine's memory, within what shared memory has */
  objectStoreMemory?: number | undefined;
  /** Where objects go that don't fit into memory; made if it is missing. @defaultValue the system's directory for temporary files */
  spillDir?: string | undefined;
}

/** Those of {@link NodeOptions} are for the nodes of an embedded cluster, and without effect where a running one is joined. */
export interface InitOptions extends NodeOptions {
  /** NATS URLs. @defaultValue STINGRAY_ADDRESS; without it an embedded cluster is started, which ends with the process */
  address?: string | string[] | undefined;
  /** The caller's own connection to the broker, in place of `address`; never closed by us. @defaultValue none */
  connection?: NatsConnection | undefined;
  /** @defaultValue STINGRAY_TOKEN, or STINGRAY_USER and STINGRAY_PASSWORD, or STINGRAY_CREDS */
  auth?: BrokerAuth | undefined;
  /** Paths of PEM files: `caFile`, `certFile`, `keyFile`. `tls://` in an address asks for TLS. @defaultValue none */
  tls?: BrokerTls | undefined;
  /** Several clusters may share one broker. @defaultValue STINGRAY_CLUSTER, or "default" */
  cluster?: string | undefined;
  /** First token of all NATS subjects. @defaultValue "st" */
  subjectRoot?: string | undefined;
  /** Of named actors. @defaultValue one of the job's own */
  namespace?: string | undefined;
  /** Settings of all worker processes of the job. @defaultValue the driver's directory and Node flags */
  runtimeEnv?: RuntimeEnv | undefined;
  /** Show what workers print. @defaultValue true */
  logToDriver?: boolean | undefined;
  /** Embedded cluster: how many nodes, or what each has. @defaultValue 1 */
  nodes?: number | NodeOptions[] | undefined;
  /** "nats" puts all traffic on the broker, for debugging. @defaultValue "auto" */
  links?: "auto" | "nats" | undefined;
}

const nodeRules: OptionRules = {
  cpus: amount,
  gpus: wholeNumber,
  memory: amount,
  resources: amounts,
  labels: texts,
  objectStoreMemory: wholeNumber,
  spillDir: optionText,
};
const nodes: OptionRule = (v) =>
  Number.isSafeInteger(v) && (v as number) >= 1
    ? undefined
    : Array.isArray(v) && v.length > 0
      ? (v.map((node) => nested(nodeRules)(node)).find((wanted) => wanted !== undefined) ?? undefined)
      : "a whole number from 1, or a list with the options of each node";
const auth: OptionRule = (v) => {
  const forms = [["token"], ["user", "password"], ["credsFile"], ["nkeySeed"]];
  const keys = typeof v === "object" && v !== null ? Object.keys(v).sort() : [];
  const fits =
    forms.some((form) => form.toSorted().join() === keys.join()) &&
    Object.values(v as object).every((x) => typeof x === "string");
  return fits ? undefined : "{ token }, { user, password }, { credsFile } or { nkeySeed }";
};
const connection: OptionRule = (v) =>
  typeof v === "object" && v !== null && "publish" in v && "subscribe" in v
    ? undefined
    : "a connection of @nats-io/transport-node";

const INIT_RULES: OptionRules = {
  ...nodeRules,
  address: textOrList,
  connection,
  auth,
  tls: nested({ caFile: optionText, certFile: optionText, keyFile: optionText }),
  cluster: optionText,
  subjectRoot: optionText,
  namespace: optionText,
  runtimeEnv: nested(RUNTIME_ENV_RULES),
  logToDriver: optionBool,
  nodes,
  links: choice("auto", "nats"),
};

/** @throws InvalidOptionError */
export function checkInitOptions(options: InitOptions): void {
  checkOptions("init()", INIT_RULES, options);
}

/** Names of options that were given and are not as they were at first. */
export function optionsThatDiffer(options: InitOptions, first: InitOptions): string[] {
  return Object.entries(options)
    .filter(([name, value]) => {
      const before = first[name as keyof InitOptions];
      if (value === undefined || value === before) return false;
      return name === "connection" || !isDeepStrictEqual(value, before);
    })
    .map(([name]) => name);
}

/** The addresses to join; undefined: start a cluster of our own. */
export function addressesOf(options: InitOptions, env: NodeJS.ProcessEnv): string[] | undefined {
  const given = options.address ?? env["STINGRAY_ADDRESS"];
  if (given === undefined || given === "") return undefined;
  return Array.isArray(given)
    ? given
    : given
        .split(",")
        .map((url) => url.trim())
        .filter((url) => url !== "");
}

/** Credentials as given, or from the environment, under the names that the command line uses. */
export function authOf(options: InitOptions, env: NodeJS.ProcessEnv): BrokerAuth | undefined {
  if (options.auth !== undefined) return options.auth;
  const {
    STINGRAY_TOKEN: token,
    STINGRAY_USER: user,
    STINGRAY_PASSWORD: password,
    STINGRAY_CREDS: credsFile,
  } = env;
  if (token !== undefined && token !== "") return { token };
  if (user !== undefined && password !== undefined) return { user, password };
  return credsFile === undefined || credsFile === "" ? undefined : { credsFile };
}
