/** What must be true when all work has ended: everything is free again, and no row of a job that is over is left. */
import type { NatsConnection } from "@nats-io/nats-core";
import { ControlStore, parseObjectKey, type Row, type Rows, type Tables } from "@stingray/gcs-kv";
import type { NodeView, Subjects, TableName } from "@stingray/protocol";

/** What nodes say that they still hold, in words. */
export function heldByNodes(nodes: readonly NodeView[]): string[] {
  const leaks: string[] = [];
  for (const { node, total, available, storeUsed, store, pending, state } of nodes) {
    if (state === "DEAD") continue;
    for (const [name, all] of Object.entries(total)) {
      const free = available[name] ?? 0;
      if (free !== all) leaks.push(`node ${node}: ${free} of ${all} ${name} are free`);
    }
    // Room that is leased to processes ahead, and what is freed and still seen, is not in use.
    const used = storeUsed - (store?.leased ?? 0) - (store?.lingering ?? 0);
    if (used > 0) leaks.push(`node ${node}: ${used} bytes of objects`);
    for (const { count, reason, actor } of pending)
      leaks.push(`node ${node}: ${actor ?? `${count} demands`} waiting: ${reason}`);
  }
  return leaks;
}

/** Rows in the tables whose job is over, in words. */
export async function rowsOfDeadJobs(
  connection: NatsConnection,
  subjects: Subjects,
  storage: "memory" | "file",
): Promise<string[]> {
  const store = await ControlStore.open({ connection, subjects, storage });
  try {
    return await deadRows(store);
  } finally {
    await store.close();
  }
}

async function deadRows(tables: Tables): Promise<string[]> {
  const leaks: string[] = [];
  const lasting = new Set<string>();
  const living = new Set<string>();
  const [jobs, actors, names, groups, objects] = await Promise.all([
    rowsOf(tables, "jobs"),
    rowsOf(tables, "actors"),
    rowsOf(tables, "names"),
    rowsOf(tables, "groups"),
    rowsOf(tables, "objects"),
  ]);
  for (const { key, value } of jobs) if (value.state === "RUNNING") living.add(key);
  const isOver = (job: string): string => `of job ${job}, which is over`;
  for (const { key, value } of actors) {
    const { detached, job } = value.spec;
    if (detached && value.state !== "DEAD") lasting.add(key).add(job);
    else if (!living.has(job)) leaks.push(`actor ${key} ${isOver(job)}`);
  }
  for (const { key, value } of groups) {
    if (value.detached && value.state !== "REMOVED") lasting.add(key);
    else if (!living.has(value.job)) leaks.push(`placement group ${key} ${isOver(value.job)}`);
  }
  for (const { key, value } of names)
    if (!living.has(value.job) && !lasting.has(value.actor ?? "") && !lasting.has(value.group ?? ""))
      leaks.push(`name ${key} ${isOver(value.job)}`);
  for (const { key } of objects) {
    const { job } = parseObjectKey(key);
    if (!living.has(job)) leaks.push(`copy ${key} of an object ${isOver(job)}`);
  }
  // The job's own row stays for its detached actors, whose code it names.
  for (const { key } of jobs)
    if (!living.has(key) && !lasting.has(key)) leaks.push(`job ${key}, which is over`);
  return leaks;
}

async function rowsOf<K extends keyof Rows & TableName>(tables: Tables, name: K): Promise<Row<Rows[K]>[]> {
  const rows: Row<Rows[K]>[] = [];
  for await (const row of (await tables.table(name)).entries()) rows.push(row);
  return rows;
}
