/**
 * Ends workers before the kernel would: when the machine is nearly out of memory the one that costs least, and, where
 * that is asked for, those that use more than they have declared. One at a time: what that gives back shows at the next
 * look.
 */
import type { MemoryEnd } from "@stingray/protocol";
import type { MachineMemory } from "./memory-files.js";
import type { VitalsSettings } from "./settings.js";
import { chooseVictim, exceeds, type MemoryUser } from "./victim.js";

/** A process that was killed gives back its memory within this time, in milliseconds. */
const PAUSE_MS = 2_000;

export interface GuardHooks {
  users(): MemoryUser[];
  /** Ends a worker for want of memory. */
  end(worker: string, why: MemoryEnd): void;
  /** A line for the user, as if the worker had printed it. */
  say(worker: string, line: string): void;
  now(): number;
}

export class MemoryGuard {
  private readonly warned = new Set<string>();
  private pausedUntil = 0;

  constructor(
    private readonly settings: VitalsSettings,
    private readonly hooks: GuardHooks,
  ) {}

  looked(machine: MachineMemory | undefined): void {
    const short =
      this.settings.threshold < 1 &&
      machine !== undefined &&
      1 - machine.available / machine.total > this.settings.threshold &&
      this.hooks.now() >= this.pausedUntil;
    const users = this.hooks.users();
    this.checkDeclared(users);
    if (!short) return;
    const victim = chooseVictim(users);
    if (victim === undefined) return;
    this.pausedUntil = this.hooks.now() + PAUSE_MS;
    this.hooks.end(victim.worker, { kind: "machine", used: victim.memory, ...limitOf(victim), ...machine });
  }

  private checkDeclared(users: readonly MemoryUser[]): void {
    for (const user of users) {
      if (!exceeds(user)) {
        this.warned.delete(user.worker);
        continue;
      }
      if (this.settings.enforce) {
        this.hooks.end(user.worker, { kind: "declared", used: user.memory, ...limitOf(user) });
      } else if (!this.warned.has(user.worker)) {
        this.warned.add(user.worker);
        this.hooks.say(
          user.worker,
          `this process uses ${mib(user.memory)} MiB, and what it runs has declared ${mib(user.declared ?? 0)} MiB of memory: ` +
            `declare more, or use less; it is ended first when the machine gets short of it`,
        );
      }
    }
    if (this.warned.size === 0) return;
    const there = new Set(users.map(({ worker }) => worker));
    for (const worker of this.warned) if (!there.has(worker)) this.warned.delete(worker);
  }
}

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);
const limitOf = ({ declared }: MemoryUser): { limit?: number } =>
  declared === undefined ? {} : { limit: declared };
