/** Which node an actor goes to that holds nothing: what is free says nothing about it. */
import type { Ranked } from "@stingray/scheduler";
import type { Shape } from "@stingray/protocol";

/** As ranked; where it is to be spread, those that take it at random. */
export function orderFor({ scheduling }: Shape, ranked: readonly Ranked[]): readonly Ranked[] {
  if (scheduling?.kind !== "spread") return ranked;
  const able = ranked.filter(({ fit }) => fit === "now");
  for (let i = able.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [able[i], able[j]] = [able[j] as Ranked, able[i] as Ranked];
  }
  return [...able, ...ranked.filter(({ fit }) => fit !== "now")];
}
