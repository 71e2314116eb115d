/** How to reach the broker. Plain data: it travels to workers. */
export interface BrokerOptions {
  /** NATS URLs, for example `nats://127.0.0.1:4222`; `tls://…` asks for TLS; `nats://user:password@…` and `nats://token@…` carry credentials. */
  servers: string[];
  auth?: BrokerAuth | undefined;
  tls?: BrokerTls | undefined;
  /** Name of the connection as the server's monitoring shows it. */
  name?: string | undefined;
  /** Time for the first connection in milliseconds. @defaultValue 5000 */
  timeoutMs?: number | undefined;
  /** Time between pings in milliseconds; a silent server is given up after three of them. @defaultValue 3000 */
  pingIntervalMs?: number | undefined;
  /** The connection alone does not keep the process alive, as long as the broker is there. @defaultValue false */
  background?: boolean | undefined;
}
export type BrokerAuth =
  { token: string } | { user: string; password: string } | { credsFile: string } | { nkeySeed: string };
export interface BrokerTls {
  /** Paths of PEM files. */
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
}
