/**
 * The thread of the gates. It is not the test's own: a test that computes must not slow down its cluster.
 */
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { parentPort } from "node:worker_threads";
import { Flow } from "./flow.js";
import { OPEN, type GateAnswer, type GateAsk, type GateRules } from "./gate-rules.js";

const LOCAL = "127.0.0.1";

class Gate {
  private rules: GateRules = OPEN;
  private readonly flows = new Set<Flow>();
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  constructor(
    private readonly host: string,
    private readonly port: number,
  ) {
    this.server = createServer({ pauseOnConnect: false }, (socket) => this.pass(socket));
  }

  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(0, LOCAL, () => resolve((this.server.address() as AddressInfo).port));
    });
  }

  set(rules: GateRules): void {
    this.rules = rules;
    if (rules.cut === "refused") this.dropAll();
    for (const flow of this.flows) flow.move();
  }

  close(): void {
    this.server.close();
    this.dropAll();
  }

  private pass(near: Socket): void {
    if (this.rules.cut === "refused") {
      near.on("error", () => undefined).destroy();
      return;
    }
    const far = createConnection({ host: this.host, port: this.port, noDelay: true });
    near.setNoDelay(true);
    const rules = (): GateRules => this.rules;
    const flows = [new Flow(near, far, rules), new Flow(far, near, rules)];
    for (const flow of flows) this.flows.add(flow);
    const forget = (): void => {
      if (!near.destroyed || !far.destroyed) return;
      for (const flow of flows) {
        flow.end();
        this.flows.delete(flow);
      }
    };
    for (const socket of [near, far]) {
      this.sockets.add(socket);
      socket.once("close", () => {
        this.sockets.delete(socket);
        forget();
      });
    }
  }

  private dropAll(): void {
    for (const flow of this.flows) flow.end();
    for (const socket of this.sockets) socket.destroy();
  }
}

const gates = new Map<number, Gate>();

async function answer(ask: GateAsk): Promise<GateAnswer> {
  const { number } = ask;
  if (ask.kind === "open") {
    const gate = new Gate(ask.host, ask.port);
    gates.set(ask.gate, gate);
    return { number, port: await gate.listen() };
  }
  const gate = gates.get(ask.gate);
  if (ask.kind === "rules") gate?.set(ask.rules);
  else {
    gate?.close();
    gates.delete(ask.gate);
  }
  return { number };
}

const port = parentPort;
const say = (answer: GateAnswer): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port?.postMessage(answer);
};
port?.on("message", (ask: GateAsk) => {
  answer(ask).then(say, (error: unknown) => say({ number: ask.number, error: String(error) }));
});
