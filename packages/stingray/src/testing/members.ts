/** What a test's cluster consists of: directory, broker, gates, nodes; how they start together and end. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { planNodes, type NodePlan } from "@stingray/node/embedded";
import { DEFAULT_CLUSTER, DEFAULT_SUBJECT_ROOT, Subjects, type JobSpec } from "@stingray/protocol";
import type { NodeOptions } from "../init-options.js";
import type { AskedCluster } from "./agents.js";
import { TestBroker } from "./broker.js";
import type { DriverPlace } from "./driver.js";
import { eventually } from "@stingray/protocol/testing";
import { Gates } from "./network/gates.js";
import { DirectLine, type Line } from "./network/line.js";
import { TestNode } from "./node.js";
import { initOptionsOf, type TestClusterOptions } from "./options.js";
import { MarkedProcesses } from "./processes.js";
import { makeScratch, removeScratch } from "./scratch.js";

/** A driver whose channel broke has so long to attach again. Milliseconds. */
const DRIVER_GRACE_MS = 3_000;
/** Of a node that leaves in order. Milliseconds. */
const DRAIN_MS = 8_000;
const REMAINS_MS = 5_000;

export class Members {
  readonly nodes: TestNode[] = [];
  readonly processes = new MarkedProcesses();
  readonly subjects: Subjects;
  readonly storage: "memory" | "file";
  private brokerNow: TestBroker | undefined;
  private gates: Gates | undefined;
  private line: Line | DirectLine | undefined;
  private directoryNow: string | undefined;

  constructor(private readonly options: TestClusterOptions) {
    this.subjects = new Subjects(
      options.subjectRoot ?? DEFAULT_SUBJECT_ROOT,
      options.cluster ?? DEFAULT_CLUSTER,
    );
    this.storage = options.storage ?? "file";
  }

  get broker(): TestBroker {
    return there(this.brokerNow, "broker");
  }
  get driverLine(): Line | DirectLine {
    return there(this.line, "line");
  }
  get filesDir(): string {
    return join(this.directory, "files");
  }

  get driverPlace(): DriverPlace {
    return {
      nodes: this.nodes,
      subjects: this.subjects,
      broker: { ...this.broker.options, servers: [this.driverLine.url] },
      remote: this.options.driver === "remote",
    };
  }

  get asked(): AskedCluster {
    return {
      nodes: this.nodes,
      subjects: this.subjects,
      broker: this.broker.options,
      viaBroker: this.options.links === "nats",
    };
  }

  get env(): Record<string, string> {
    return {
      ...this.processes.environment,
      STINGRAY_ADDRESS: this.broker.url,
      STINGRAY_TOKEN: this.broker.token,
      STINGRAY_CLUSTER: this.subjects.cluster,
      STINGRAY_RUNTIME_DIR: this.runtimeDir,
    };
  }

  /** Everything at once. `job`: workers are prepared for it. On failure what there is waits for {@link end}. */
  async start(job: JobSpec | undefined): Promise<void> {
    this.directoryNow = makeScratch(() => this.killAll());
    const { nodes = 1 } = this.options;
    for (const plan of this.plan({ nodes, job })) this.nodes.push(this.makeNode(plan));
    this.brokerNow = this.options.broker ?? (await TestBroker.start());
    if (this.storage === "memory") this.brokerNow.holdsInMemory(this.subjects.cluster);
    if (this.options.gates === true) this.gates = Gates.start(this.broker.url);
    this.line = await this.openLine("the driver");
    await Promise.all(this.nodes.map((node) => this.joinNode(node)));
  }

  async addNode(options: NodeOptions): Promise<TestNode> {
    const [plan] = this.plan({ nodes: [options], job: undefined });
    const node = this.makeNode(plan as NodePlan);
    await this.joinNode(node);
    this.nodes.push(node);
    return node;
  }

  async heal(): Promise<void> {
    await this.gates?.heal();
    await this.processes.resumeAll();
    await this.brokerNow?.heal();
  }

  /** @throws Error naming what does not end by itself */
  async end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end()));
    await this.gates?.close();
    if (this.options.broker === undefined) await this.brokerNow?.end();
    try {
      await this.nothingRuns();
    } finally {
      this.killAll();
      if (this.directoryNow !== undefined) removeScratch(this.directoryNow);
    }
  }

  /** At once, and by force. */
  private killAll(): void {
    this.processes.killAll();
    for (const path of this.nodes.flatMap((node) => node.directories))
      rmSync(path, { recursive: true, force: true });
  }

  private get directory(): string {
    return there(this.directoryNow, "directory");
  }
  private get runtimeDir(): string {
    return join(this.directory, "run");
  }

  private async nothingRuns(): Promise<void> {
    await eventually(
      () => {
        const left = [
          ...this.processes.running().map(({ pid, command }) => `process ${pid}: ${command.slice(0, 150)}`),
          ...this.nodes.flatMap((node) => node.directories).filter((path) => existsSync(path)),
        ];
        if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
        return true;
      },
      { message: "everything of the test cluster goes with it", timeoutMs: REMAINS_MS },
    );
  }

  private plan(o: { nodes: number | NodeOptions[]; job: JobSpec | undefined }): NodePlan[] {
    const { options } = this;
    const { cpus, gpus, memory, resources, labels, objectStoreMemory, links } = initOptionsOf(options);
    const spillDir = options.spillDir ?? join(this.directory, "spill");
    const own = { cpus, gpus, memory, resources, labels, objectStoreMemory, spillDir, links };
    return planNodes(
      {
        ...own,
        ...o,
        cluster: this.subjects.cluster,
        subjectRoot: this.subjects.root,
        agent: {
          // As `stingray start` would have it, but for the addresses.
          embedded: false,
          dataHost: "127.0.0.1",
          storage: this.storage,
          driverGraceMs: DRIVER_GRACE_MS,
          drainMs: DRAIN_MS,
          heartbeatMs: options.heartbeatMs,
          deadAfterMs: options.deadAfterMs,
          ...(options.clock === undefined ? {} : { clock: Number(options.clock) }),
          ...options.agent,
        },
      },
      this.runtimeDir,
    );
  }

  private makeNode(plan: NodePlan): TestNode {
    return new TestNode(
      {
        processes: this.processes,
        cluster: this.subjects.cluster,
        subjectRoot: this.subjects.root,
        runtimeDir: this.runtimeDir,
        env: { ...process.env, ...this.processes.environment },
        log: this.options.log,
      },
      this.nodes.length,
      plan,
    );
  }

  private async joinNode(node: TestNode): Promise<void> {
    await node.join(this.broker.options, await this.openLine(`node ${node.index}`));
  }

  private async openLine(name: string): Promise<Line | DirectLine> {
    return this.gates === undefined ? new DirectLine(name, this.broker.url) : this.gates.open(name);
  }
}

function there<T>(value: T | undefined, what: string): T {
  if (value === undefined)
    throw new Error(`the test cluster has no ${what}: it has not started, or was ended`);
  return value;
}
