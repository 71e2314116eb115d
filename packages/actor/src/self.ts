/** An actor as code inside it sees it, through `context()`. */
import { ActorDiedError, taskIdOf, type ActorId, type ActorSpec } from "@stingray/protocol";
import type { ActorExecution, ActorReminders, Execution, Runtime } from "@stingray/task/internal";
import { ownReminders } from "./reminders.js";
import { StateSaver } from "./state-saver.js";
import type { LentPlace } from "./lent-place.js";

export class ActorSelf implements ActorExecution {
  readonly id: ActorId;
  exitError: ActorDiedError | undefined;
  /** Set once the actor lives; before that, `exit()` just makes its constructor fail. */
  onExit: { exited(): void } | undefined;
  private saverNow: StateSaver | undefined;
  private instance: object | undefined;

  constructor(
    private readonly runtime: Runtime,
    private readonly spec: ActorSpec,
    readonly epoch: number,
    readonly gpuIds: readonly number[],
    private readonly place: LentPlace | undefined,
  ) {
    this.id = spec.actor as ActorId;
  }

  get capture(): string | undefined {
    const { scheduling } = this.spec.placement;
    return scheduling?.kind === "group" && scheduling.capture ? scheduling.group : undefined;
  }

  exit(): never {
    if (this.exitError === undefined) {
      const { actor, className } = this.spec;
      this.exitError = new ActorDiedError(`actor ${className} (${actor}) has ended itself with exitActor()`, {
        detail: { actor },
      });
      this.onExit?.exited();
    }
    throw this.exitError;
  }

  /** What it saves of itself. */
  get saver(): StateSaver {
    return (this.saverNow ??= new StateSaver({
      runtime: this.runtime,
      spec: this.spec,
      epoch: this.epoch,
      instance: () => this.instance,
      betweenCalls: () => this.betweenCalls(),
    }));
  }

  /** Its constructor has run. */
  made(instance: object): void {
    this.instance = instance;
  }

  saveSnapshot(): Promise<void> {
    return this.saver.saveNow();
  }

  get reminders(): ActorReminders {
    const { actor: id, className, methods } = this.spec;
    return ownReminders(this.runtime, { id, className, methods: Object.keys(methods) });
  }

  /** For the constructor, `onActivate` and `onDeactivate`, which nobody calls and nobody can cancel. */
  betweenCalls(): Execution {
    const { runtime, spec, gpuIds, place } = this;
    let waits = 0;
    return {
      taskId: taskIdOf(runtime.process, runtime.table.nextSequence()),
      name: spec.className,
      resources: spec.running,
      gpuIds,
      abort: new AbortController(),
      isCancelled: () => false,
      block: () => {
        if (waits++ === 0) place?.blocked();
      },
      resume: () => {
        if (--waits === 0) place?.resumed();
      },
      actor: this,
      capture: this.capture,
    };
  }
}
