/** What a submitter asks for, here or through an offer, and what it is told of it. */
import { Ask, type AskOwner } from "./ask.js";
import type { BadStarts } from "./bad-starts.js";
import type { Lease } from "./lease-book.js";
import type { Demand, LeaseEffects } from "./types.js";

export interface SubmitterAskParts {
  effects: LeaseEffects;
  badStarts: BadStarts;
  close: (ask: Ask) => void;
  /** Told of each lease once its submitter has it. */
  granted: (lease: Lease) => void;
}

/** @throws InvalidOptionError for a bad shape */
export function submitterAsk(
  kind: "demand" | "offer",
  d: Omit<Demand, "want" | "got">,
  level: { want: number; got?: number | undefined },
  { effects, badStarts, close, granted }: SubmitterAskParts,
): Ask {
  const { submitter, job, key, shape } = d;
  /** The failure has told how many are lost: nothing more is said of them one by one. */
  let saysPart = false;
  const owner: AskOwner = {
    granted: (lease) => {
      const { worker, allocation } = lease;
      if (worker === undefined) return;
      effects.assign(worker, lease.id, submitter, allocation.resources, [...allocation.gpus]);
      effects.grant({ submitter, key, lease: lease.id, worker });
      granted(lease);
    },
    failed: (error) => {
      const part = kind === "offer" && !ask.isFixed ? ask.starting : undefined;
      if (part !== undefined) badStarts.add(ask.env, error, effects.now());
      saysPart = part !== undefined;
      effects.fail(submitter, key, error, part);
      close(ask);
    },
  };
  if (kind === "offer") {
    // Its agent was promised each of these, and goes on waiting for those of which nothing is said.
    owner.coming = (lease, coming) => {
      if (!coming && !saysPart) effects.coming({ submitter, key, lease, coming, promised: true });
    };
  } else if (shape.scheduling?.kind === "spread") {
    // Who wants to be spread must not give all to the worker that is there first: it is told what is to come.
    owner.coming = (lease, coming) => effects.coming({ submitter, key, lease, coming });
  }
  const ask = new Ask({ kind, job, process: submitter, key, shape, ...level, owner });
  return ask;
}
