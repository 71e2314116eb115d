/** The bundles of placement groups that this node has reserved: each an allocation with an account of its own inside. */
import {
  UnschedulableError,
  toError,
  type BundleReservation,
  type JobId,
  type SchedulingSpec,
} from "@stingray/protocol";
import { ResourceAccount, type Allocation } from "./account.js";
import { GpuPool } from "./gpus.js";
import { Resources, UNITS } from "./amounts.js";

/**
 * - `prepared`: reserved for a planner that has not written the group down yet
 * - `committed`: part of the group
 * - `closing`: given up; its resources return when the last that runs in it has ended
 */
export type BundleState = "prepared" | "committed" | "closing";

/** The bundle that something was to begin in was given up here; it comes back on another node, or has already. */
export class BundleLostError extends UnschedulableError {}

/** One bundle. Only the book changes it. */
export interface Bundle {
  readonly group: string;
  readonly index: number;
  readonly job: JobId;
  readonly detached: boolean;
  /** The try of the planner that it was reserved for. */
  readonly attempt: string;
  readonly allocation: Allocation;
  /** Work in the bundle takes from this, and from nothing else. */
  readonly account: ResourceAccount;
  readonly state: BundleState;
}

type Kept = { -readonly [K in keyof Bundle]: Bundle[K] };

/** Reserves, keeps and gives back bundles. Pure bookkeeping: who uses them is ended by others. */
export class BundleBook {
  readonly #bundles = new Set<Kept>();

  constructor(private readonly node: ResourceAccount) {}

  /** Reserves all of them, or none and says why. Asking again for the same attempt changes nothing. */
  prepare(r: BundleReservation): { reserved: true } | { reserved: false; reason: string } {
    if (this.of(r.group).some((bundle) => bundle.attempt === r.attempt)) return { reserved: true };
    const made: Kept[] = [];
    let reason: string | undefined;
    for (const { index, resources } of r.bundles) {
      if (this.find(r.group, index) !== undefined) reason = `bundle ${index} of the group is here already`;
      else {
        try {
          const allocation = this.node.acquire(resources);
          if (allocation === undefined)
            reason = this.node.missing(resources) || "has not enough GPUs in one piece";
          else made.push(bundleOf(r, index, allocation));
        } catch (thrown) {
          reason = toError(thrown).message;
        }
      }
      if (reason !== undefined) break;
    }
    if (reason !== undefined) {
      for (const { allocation } of made) this.node.release(allocation);
      return { reserved: false, reason };
    }
    for (const bundle of made) this.#bundles.add(bundle);
    return { reserved: true };
  }

  /** The bundles of this attempt stay. Those that are closing do not come back. */
  commit(group: string, attempt: string): void {
    for (const bundle of this.#bundles) {
      if (bundle.group === group && bundle.attempt === attempt && bundle.state === "prepared") {
        bundle.state = "committed";
      }
    }
  }

  /** Nothing begins in these any more; `settle` gives them back when nothing runs there. Returns those it concerned. */
  close(concerns: (bundle: Bundle) => boolean): Bundle[] {
    const closed: Bundle[] = [];
    for (const bundle of this.#bundles) {
      if (bundle.state === "closing" || !concerns(bundle)) continue;
      bundle.state = "closing";
      closed.push(bundle);
    }
    return closed;
  }

  /** Gives back what is closing and not used. True if there was some. */
  settle(): boolean {
    let any = false;
    for (const bundle of this.#bundles) {
      if (bundle.state !== "closing" || bundle.account.inUse) continue;
      this.#bundles.delete(bundle);
      this.node.release(bundle.allocation);
      any = true;
    }
    return any;
  }

  /** The bundle, unless it is closing. */
  find(group: string, index: number): Bundle | undefined {
    return this.of(group).find((bundle) => bundle.index === index);
  }

  /** The bundles of a group that are not closing. */
  of(group: string): Bundle[] {
    return [...this.#bundles].filter((bundle) => bundle.group === group && bundle.state !== "closing");
  }

  all(): readonly Bundle[] {
    return [...this.#bundles];
  }

  /**
   * What a request with this `scheduling` takes from: the node, or the bundles here that it may use. Those that are only
   * prepared are not among them: their planner may still give them back.
   */
  accountsFor(scheduling: SchedulingSpec | undefined): ResourceAccount[] {
    if (scheduling?.kind !== "group") return [this.node];
    return this.of(scheduling.group)
      .filter(({ state }) => state === "committed")
      .filter((bundle) => scheduling.bundle < 0 || bundle.index === scheduling.bundle)
      .map(({ account }) => account);
  }
}

function bundleOf(r: BundleReservation, index: number, allocation: Allocation): Kept {
  const { resources, gpus } = allocation;
  const each = Math.min(UNITS, Resources.from(resources).units("GPU"));
  return {
    group: r.group,
    index,
    job: r.job as JobId,
    detached: r.detached,
    attempt: r.attempt,
    allocation,
    account: new ResourceAccount(resources, GpuPool.of(gpus, each)),
    state: "prepared",
  };
}
