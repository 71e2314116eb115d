/** Asks for actors that live with others: what those of one class and options have in common is sent once. */
import {
  ProtocolError,
  SharedActors,
  SpecTemplates,
  type ActorSpec,
  type ActorView,
} from "@stingray/protocol";
import { Gate, type Runtime } from "@stingray/task/internal";

/** Creations that are asked for at the same time; the others wait, and no deadline of theirs runs. */
const AT_ONCE = 1_000;

export interface CreationAnswer {
  existing?: ActorSpec | undefined;
  view?: ActorView | undefined;
}

export class SharedCreation {
  private readonly templates = new SpecTemplates();
  /** Those that the home agent knows, or is told on the way before what is asked next. */
  private readonly sent = new Set<string>();

  private readonly gate = new Gate(AT_ONCE);

  constructor(private readonly runtime: Runtime) {
    runtime.home.onMoved(() => this.sent.clear());
  }

  /** @param timeoutMs from the time that it is asked for, which is when it is its turn */
  create(spec: ActorSpec, getIfExists: boolean, timeoutMs: number): Promise<CreationAnswer> {
    return this.gate.through(() => this.ask(spec, getIfExists, timeoutMs));
  }

  private async ask(spec: ActorSpec, getIfExists: boolean, timeoutMs: number): Promise<CreationAnswer> {
    const own = this.templates.split(spec);
    const base = this.templates.base(own.template);
    const known = this.sent.has(own.template);
    this.sent.add(own.template);
    const { home } = this.runtime;
    const ask = known ? { own, getIfExists } : { own, base, getIfExists };
    let answer = await home.request(SharedActors.create, ask, { timeoutMs });
    if (answer.unknown === true)
      answer = await home.request(SharedActors.create, { own, base, getIfExists }, { timeoutMs });
    if (answer.unknown === true)
      throw new ProtocolError(`agent ${home.agent} does not take the description of actor ${spec.actor}`);
    return answer;
  }
}
