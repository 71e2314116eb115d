export type Log = (line: string) => void;

export interface Work {
  /** An empty directory, removed afterwards. */
  work: string;
  env: NodeJS.ProcessEnv;
  log: Log;
}

/** One way to get a nats-server. */
export interface Source {
  readonly name: "release" | "debian" | "go";
  /** What is tried, for messages. */
  readonly what: string;
  /** Puts a binary below the working directory and returns its path; rejects with the reason where it can't. */
  get(work: Work): Promise<string>;
}
