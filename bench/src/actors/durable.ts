/** Calls of actors with durable mailboxes, with and without a saved state. */
import type { ActorHandle } from "stingray";
import { OURS } from "../report.js";
import type { SuiteCase } from "../suite.js";
import { allAtOnce, byCallers, calling, oneAtATime, singleCalls } from "./calls.js";
import { Latencies } from "./latency.js";
import type { ActorSizes } from "./sizes.js";
import { RemoteLight, RemoteSaved, type Light } from "./workload.js";

const KINDS: readonly { name: string; make: () => ActorHandle<Light> }[] = [
  { name: "durable", make: () => RemoteLight.options({ mailbox: "durable" }).remote() },
  {
    name: "durable with snapshot",
    make: () => RemoteSaved.options({ mailbox: "durable" }).remote(),
  },
];

export function durableCases({ durableCalls: calls, callers }: ActorSizes): SuiteCase[] {
  return KINDS.flatMap(({ name, make }): SuiteCase[] => {
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
  });
}
