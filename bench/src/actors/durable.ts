/** Calls of actors with durable mailboxes: with and without a saved state, and those that are to come later. */
import { StingrayError } from "@stingray/protocol";
import { get, kill, ready } from "stingray";
import { preparedSubject, sampledSubject } from "../measure.js";
import { OURS } from "../report.js";
import { median } from "../stats.js";
import type { SuiteCase } from "../suite.js";
import { WAIT, allAtOnce, byCallers, calling, oneAtATime, singleCalls, type Called } from "./calls.js";
import { Latencies } from "./latency.js";
import type { ActorSizes } from "./sizes.js";
import { RemoteLight, RemoteSaved } from "./workload.js";

/** What calls that are to come later are delayed by, and how many of them are on their way at a time. */
const DELAY_MS = 300;
const DELAYED = 10;

interface Kind {
  name: string;
  make: () => Called;
}

const KINDS: readonly Kind[] = [
  { name: "durable", make: () => RemoteLight.options({ mailbox: "durable" }).remote() },
  { name: "durable with snapshot", make: () => RemoteSaved.options({ mailbox: "durable" }).remote() },
];

export function durableCases(sizes: ActorSizes): SuiteCase[] {
  return [...KINDS.flatMap((kind) => casesOf(kind, sizes)), delayCase()];
}

function casesOf({ name, make }: Kind, { durableCalls: calls, callers }: ActorSizes): SuiteCase[] {
  const latencies = new Latencies();
  return [
    {
      name: `${name}: calls, one at a time`,
      unit: "calls/s",
      better: "higher",
      ours: () => calling(() => [make()], oneAtATime, 1),
    },
    {
      name: `${name}: calls in flight`,
      unit: "calls/s",
      better: "higher",
      note: `${calls} at a time`,
      ours: () => calling(() => [make()], allAtOnce(calls), calls),
    },
    {
      name: `${name}: calls by ${callers} callers`,
      unit: "calls/s",
      better: "higher",
      note: `${calls} each`,
      ours: () => calling(() => [make()], byCallers(callers, calls), callers * calls),
    },
    {
      name: `${name}: call latency, median`,
      unit: "µs",
      better: "lower",
      ours: () => latencies.subject(OURS, () => singleCalls(make())),
      more: (measured) => [latencies.tail(`${name}: call latency, p99`, measured)],
    },
  ];
}

/** How late calls with `delayMs` come, by the clock of the machine that both sides are on. */
function delayCase(): SuiteCase {
  return {
    name: "durable: delayed calls, late by",
    unit: "ms",
    better: "lower",
    note: `${DELAYED} at a time, ${DELAY_MS} ms ahead; median`,
    ours: () =>
      preparedSubject(OURS, async () => {
        const actor = RemoteLight.options({ mailbox: "durable" }).remote();
        await ready(actor, WAIT);
        const call = actor.since.options({ delayMs: DELAY_MS });
        const sample = async (): Promise<number> => {
          const late = await get(
            Array.from({ length: DELAYED }, () => call.remote(Date.now() + DELAY_MS)),
            WAIT,
          );
          if (Math.min(...late) < 0) throw new StingrayError("a delayed call came before its time");
          return median(late);
        };
        return sampledSubject(OURS, { sample, end: () => kill(actor) }, median);
      }),
  };
}
