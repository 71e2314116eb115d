/**
 * One life of a node: from its ids to its end. A node that the cluster has declared dead ends its life at once, and
 * may begin another under new ids (see agent.ts).
 */
import { mkdir, rm } from "node:fs/promises";
import type { NatsConnection } from "@nats-io/nats-core";
import { Transport } from "@stingray/broker";
import { connectBroker, requireJetStream, watchConnection } from "@stingray/broker/connect";
import { ControlStore, type NodeRow } from "@stingray/gcs-kv";
import { NodeStore, defaultStoreDir } from "@stingray/objectstore";
import { toError, type NodeId, type ProcessId } from "@stingray/protocol";
import type { DependencyContainer } from "tsyringe";
import { ActorBook } from "../controller/actor-book.js";
import { CONTROLLER_TIMES } from "../controller/controller.js";
import { publishDeath, subscribeDeaths, subscribeObjectNews, type FeedHooks } from "../feed/mod.js";
import { GroupBook } from "../groups/group-book.js";
import { trace } from "../trace.js";
import { agentContainer } from "./container.js";
import { announceDrain } from "./drain/announce.js";
import { farewell } from "./farewell.js";
import { getterOf } from "./getter.js";
import { followGroups } from "./group-parts.js";
import { serveJoin } from "./join.js";
import { feedHooks, refusedFrames } from "./malformed.js";
import { nodeOffer, type NodeOffer } from "./offer.js";
import type { AgentConfig } from "./options.js";
import { Pulse } from "./pulse.js";
import { serveAgent, serveWorkers } from "./serve.js";
import { listenForData } from "./store/data-port.js";
import { runReminders } from "./reminder-parts.js";
import * as t from "./tokens.js";
import { startVitals } from "./vitals/parts.js";

/** Term of the controller role, in milliseconds. */
const CONTROLLER_TERM_MS = 2_000;
/** Last messages may take so long, in milliseconds; and so long where the broker is away, as when a program was killed. */
const DRAIN_MS = 1_000;
const DRAIN_WITHOUT_BROKER_MS = 50;

type Undo = () => void | Promise<void>;

export interface LifeHooks {
  /** Once, when the cluster has declared this node dead; its workers are killed by then. */
  lost(reason: string): void;
  /** Once, when it was drained and nothing is left to wait for. */
  drained(reason: string): void;
}

export class AgentLife {
  /** What was begun, to be ended in the opposite order. */
  private readonly undo: Undo[] = [];
  private readonly reigning = new AbortController();
  private ended: Promise<void> | undefined;
  private own: NodeRow | undefined;

  private constructor(
    readonly config: AgentConfig,
    readonly storeDir: string,
    private readonly c: DependencyContainer,
    private readonly hooks: LifeHooks,
  ) {}

  /**
   * Starts everything; workers are spawned before anything else is waited for.
   * @throws ConnectionError, AuthError, InvalidOptionError, ObjectStoreFullError; nothing is left behind then
   */
  static async start(config: AgentConfig, hooks: LifeHooks): Promise<AgentLife> {
    const { path: storeDir, warning } = defaultStoreDir(config.node);
    if (warning !== undefined) config.log(warning);
    const c = agentContainer({ storeDir });
    c.register(t.CONFIG, { useValue: config });
    c.register(t.CONNECTION_STATE, { useValue: { up: true } });
    const life = new AgentLife(config, storeDir, c, hooks);
    try {
      await life.begin();
      return life;
    } catch (error) {
      await life.stop({ reason: "the agent could not start", graceMs: 0 });
      throw error;
    }
  }

  /** What the node began with. */
  get offer(): NodeOffer {
    return this.c.resolve(t.OFFER);
  }

  private async begin(): Promise<void> {
    const { config, c } = this;
    const get = getterOf(c);
    const connecting = connectBroker({ name: `stingray agent ${config.node}`, ...config.broker });
    connecting.catch(() => undefined); // told below
    this.undo.push(async () => {
      const nc = await connecting.catch(() => undefined);
      await nc?.close();
    });

    const offering = nodeOffer(config);
    offering.catch(() => undefined); // told below

    await mkdir(config.socketDir, { recursive: true, mode: 0o700 });
    this.undo.push(() => rm(config.socketDir, { recursive: true, force: true }));
    const { agent, node, subjects, socketDir, secret, links } = config;
    const failed = get(t.FAILED);
    const onHandlerError = (error: unknown, where: string): void => failed(`handle ${where}`, error);
    const malformed = get(t.MALFORMED);
    this.undo.push(() => malformed.stop());
    const onMalformed = refusedFrames(malformed);
    const [transport, store] = await Promise.all([
      Transport.create({
        process: agent,
        node,
        subjects,
        socketDir,
        secret,
        links,
        onHandlerError,
        onMalformed,
        gather: true,
      }),
      NodeStore.open({
        dir: this.storeDir,
        capacity: config.objectStoreMemory,
        spill: {
          dir: config.spillDir,
          ...(config.spillLimit === undefined ? {} : { limit: config.spillLimit }),
        },
        sweep: true,
        log: config.log,
        dropped: (object) => get(t.LOCATIONS).removed([object]),
      }),
    ]);
    this.undo.push(() => store.close());
    this.undo.push(() =>
      transport.close({ drainMs: get(t.CONNECTION_STATE).up ? DRAIN_MS : DRAIN_WITHOUT_BROKER_MS }),
    );
    c.register(t.TRANSPORT, { useValue: transport });
    c.register(t.NODE_STORE, { useValue: store });
    const port = await listenForData(config, {
      store,
      pulls: () => get(t.PULLS),
      sent: (bytes) => get(t.TRAFFIC).sent(bytes),
    });
    c.register(t.DATA_PORT, { useValue: port });
    this.undo.push(async () => {
      if (c.isRegistered(t.BROKER)) get(t.PULLER).close();
      await port.close();
    });
    serveWorkers(get);
    if (config.job === undefined) get(t.POOL).prestart();
    else get(t.POOL).prestartFor(config.job);

    trace("agent", "workers started");
    const nc = await connecting;
    trace("agent", "broker connected");
    transport.attachBroker(nc);
    await requireJetStream(nc);
    trace("agent", "JetStream answers");
    c.register(t.BROKER, { useValue: nc });
    c.register(t.OFFER, { useValue: await offering });
    trace("agent", "GPUs looked for");
    await this.openTables(nc);
    trace("agent", "tables open");
    if (config.job !== undefined) get(t.JOBS).expect(config.job);
    serveAgent(get);
    await this.join(nc);
  }

  private async openTables(nc: NatsConnection): Promise<void> {
    const { subjects, storage, replicas } = this.config;
    const failed = this.c.resolve(t.FAILED);
    const report = (error: Error): void => failed("read the tables", error);
    const store = await ControlStore.open({ connection: nc, subjects, storage, replicas, report });
    this.undo.push(() => store.close());
    const [[nodes, nodeCache], [jobs, jobCache], names, book, groups] = await Promise.all([
      store.table("nodes").then(async (table) => [table, await table.watch()] as const),
      store.table("jobs").then(async (table) => [table, await table.watch()] as const),
      store.table("names"),
      store.table("actors").then((table) => ActorBook.open(table)),
      store.table("groups").then((table) => GroupBook.open(table)),
    ]);
    this.c.register(t.TABLES, { useValue: { store, nodes, nodeCache, jobs, jobCache, names } });
    this.c.register(t.ACTOR_BOOK, { useValue: book });
    this.c.register(t.GROUP_BOOK, { useValue: groups });
    const host = this.c.resolve(t.ACTOR_HOST);
    const placer = this.c.resolve(t.ACTOR_PLACER);
    const shared = this.c.resolve(t.SHARED_ACTORS);
    this.undo.push(() => shared.stop());
    book.onChange((actor, now, before) => {
      shared.rowChanged(actor, now, before);
      placer.rowChanged(actor, now);
      host.rowChanged(actor, now);
    });
    this.undo.push(() => book.stop());
    this.undo.push(followGroups(getterOf(this.c)));
    this.undo.push(() => this.c.resolve(t.MAILBOX_FEEDS).stop());
  }

  /** The node becomes part of the cluster. */
  private async join(nc: NatsConnection): Promise<void> {
    const { config, c } = this;
    const { nodes, nodeCache, store } = c.resolve(t.TABLES);
    const heartbeats = c.resolve(t.HEARTBEATS);
    const deaths = c.resolve(t.DEATHS);
    const state = c.resolve(t.CONNECTION_STATE);
    const liveness = c.resolve(t.LIVENESS);
    const locations = c.resolve(t.LOCATIONS);

    const unwatch = watchConnection(nc, (event) => {
      if (event.type === "disconnected" || event.type === "closed") state.up = false;
      else if (event.type === "reconnected") {
        state.up = true;
        liveness.distrust();
        locations.reconnected();
        heartbeats.changed();
      } else if ("error" in event) config.log(event.error.message);
    });
    const malformed = c.resolve(t.MALFORMED);
    const hooks = (feed: string): FeedHooks => feedHooks(feed, malformed, c.resolve(t.FAILED));
    const feeds = [
      subscribeDeaths(nc, config.subjects, (d) => deaths.told(d), hooks("deaths")),
      subscribeObjectNews(
        nc,
        config.subjects,
        (news) => locations.received(news),
        hooks("locations of objects"),
      ),
    ];
    this.undo.push(() => {
      unwatch();
      locations.stop();
      for (const feed of feeds) feed.stop();
    });

    this.own = {
      node: config.node,
      agent: config.agent,
      hostname: config.hostname,
      pid: process.pid,
      state: "ALIVE",
      labels: c.resolve(t.OFFER).labels,
      total: c.resolve(t.ACCOUNT).total,
      startedAt: Date.now(),
      epoch: 1,
    };
    await nodes.put(config.node, this.own);
    if (config.replaces !== undefined) await this.reportDead(nc, config.replaces);
    nodeCache.onChange(({ key, row }) => this.nodeChanged(key as NodeId, row?.value));
    for (const { value } of nodeCache.entries()) this.nodeKnown(value);
    const stopJoin = serveJoin(nc, config.subjects, config, (error) =>
      malformed.add("those who take in drivers", error),
    );
    this.undo.push(startVitals((token) => c.resolve(token)));
    const pulse = new Pulse(c.resolve(t.PEERS), () => c.resolve(t.JOBS).watched(), config.heartbeatMs);
    c.resolve(t.BIDDING).start();
    pulse.start();
    const looking = setInterval(() => liveness.look(), CONTROLLER_TIMES.lookMs).unref();
    this.undo.push(() => {
      clearInterval(looking);
      stopJoin();
      c.resolve(t.BIDDING).stop();
      pulse.stop();
    });
    this.undo.push(
      announceDrain((token) => c.resolve(token), {
        begun: () => {
          stopJoin();
          this.reigning.abort();
        },
        left: (reason) => this.hooks.drained(reason),
      }),
    );
    void store
      .lease("controller", config.node, { ttlMs: CONTROLLER_TERM_MS })
      .run(this.reigning.signal, (_epoch, signal) => this.reign(signal))
      .catch((error: unknown) => c.resolve(t.FAILED)("compete for the controller role", error));
  }

  /** Who judges which nodes live must hear all of them, and a while, before it does. */
  private async reign(signal: AbortSignal): Promise<void> {
    const { standing } = this.c.resolve(t.BIDDING);
    if (standing.isLarge) this.c.resolve(t.LIVENESS).distrust();
    standing.followAll(true);
    try {
      const get: t.Get = (token) => this.c.resolve(token);
      await Promise.all([get(t.CONTROLLER).reign(signal), runReminders(get, signal)]);
    } finally {
      standing.followAll(false);
    }
  }

  /** Ends or moves what is here, then has the agent end. Nothing where it takes part in no cluster yet. */
  drain(order: { reason: string; deadlineMs: number }): boolean {
    if (this.own === undefined || this.ended !== undefined) return false;
    this.c.resolve(t.DRAIN).order(order);
    return true;
  }

  get draining(): boolean {
    return this.own !== undefined && this.c.resolve(t.DRAIN).active;
  }

  /** Whoever started this agent saw the process of that one end; its workers ended with it. */
  private async reportDead(nc: NatsConnection, node: NodeId): Promise<void> {
    const { nodes } = this.c.resolve(t.TABLES);
    const row = await nodes.get(node);
    if (row === undefined || row.value.state === "DEAD") return;
    const reason = `its agent ended; node ${this.config.node} is in its place`;
    const written = await nodes.update(node, { ...row.value, state: "DEAD", reason }, row.revision);
    if (written.ok) publishDeath(nc, this.config.subjects, { kind: "node", id: node, reason });
  }

  private nodeChanged(node: NodeId, row: NodeRow | undefined): void {
    if (this.ended !== undefined) return;
    if (row !== undefined) this.nodeKnown(row);
    if (node !== this.config.node) {
      if (row === undefined || row.state === "DEAD") {
        this.c.resolve(t.DEATHS).nodeGone(node, row?.reason ?? "it left");
      }
      return;
    }
    if (row === undefined) {
      // Memory storage and a restart: nobody has judged us.
      this.config.log("the broker has lost its tables: what ran is given up; this node enters itself again");
      const { nodes } = this.c.resolve(t.TABLES);
      this.c.resolve(t.LOCATIONS).tablesLost();
      if (this.own === undefined) return;
      nodes
        .put(node, this.own)
        .catch((error: unknown) => this.c.resolve(t.FAILED)("write the row of this node again", error));
    } else if (row.state === "DEAD") {
      this.fence();
      this.hooks.lost(row.reason ?? "no reason given");
    } else if (this.own !== undefined) this.own = row;
  }

  /** A row of a node: who it is, and that its agent dies with it. */
  private nodeKnown({ node, agent, total, labels, state }: NodeRow): void {
    if (state === "DEAD") return;
    this.c.resolve(t.PEERS).note(agent as ProcessId, node as NodeId);
    const facts = {
      node: node as NodeId,
      agent: agent as ProcessId,
      total,
      labels,
      draining: state === "DRAINING",
    };
    this.c.resolve(t.VIEW).fact(facts);
  }

  /** Others have taken over what ran here: it must not go on. */
  private fence(): void {
    this.c.resolve(t.DRAIN).stop();
    this.c.resolve(t.ACTOR_PLACER).stop();
    this.c.resolve(t.ACTOR_HOST).forgetAll();
    for (const worker of this.c.resolve(t.POOL).all()) worker.kill("the cluster declared this node dead");
  }

  /**
   * Ends it: workers first, then what others see of the node, then its files. Idempotent, never rejects.
   * @param graceMs what runs may take so long to end; then it is killed
   */
  stop(o: { reason: string; graceMs: number }): Promise<void> {
    this.ended ??= this.end(o);
    return this.ended;
  }

  private async end({ reason, graceMs }: { reason: string; graceMs: number }): Promise<void> {
    const { c } = this;
    this.reigning.abort();
    const joined = this.own !== undefined;
    if (c.isRegistered(t.ACTOR_BOOK)) {
      c.resolve(t.ACTOR_PLACER).stop();
      c.resolve(t.ACTOR_HOST).forgetAll();
      c.resolve(t.JOBS).stop();
      c.resolve(t.SCHEDULER).drain();
    }
    if (c.isRegistered(t.TRANSPORT)) await c.resolve(t.POOL).stop(reason, graceMs);
    // Without the broker nobody would hear it, and the cluster finds out by itself.
    if (joined && c.resolve(t.CONNECTION_STATE).up) {
      const { active } = c.resolve(t.DRAIN);
      const why = active ? `it was drained: ${reason}` : `it was stopped: ${reason}`;
      await farewell(this.config.node, why, c.resolve(t.TABLES)).catch((error: unknown) =>
        c.resolve(t.FAILED)("say goodbye", error),
      );
    }
    if (c.isRegistered(t.ACTOR_BOOK)) c.resolve(t.SCHEDULER).close();
    for (const step of this.undo.reverse()) {
      try {
        await step();
      } catch (error) {
        this.config.log(`could not end in good order: ${toError(error).message}`);
      }
    }
  }
}
