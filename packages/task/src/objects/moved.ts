/** Copies of objects that go from a node that leaves to another: their owners learn of it here. */
import { Owner, type ObjectId } from "@stingray/protocol";
import type { Endpoint } from "@stingray/broker";
import type { ObjectTable } from "./table.js";

/** Serves `object.moved`. Whoever is told of the old place later fails there, and asks the owner. */
export function serveMoves(inbox: Endpoint, table: ObjectTable): void {
  inbox.serve(Owner.moved, ({ object, size, from, to }) => {
    const entry = table.lookup(object as ObjectId);
    if (entry === undefined || !entry.owned) return { outcome: "unknown" };
    const { state } = entry;
    if (state.kind === "pending") return { outcome: "pending" };
    // Made again in another size meanwhile, or small, or an error: that copy is of no use.
    if (state.kind !== "stored" || state.location[0] !== size) return { outcome: "unknown" };
    const others = state.location[1].filter(([node]) => node !== from && node !== to[0]);
    entry.state = { kind: "stored", location: [size, [...others, to], entry.generation] };
    return { outcome: "moved" };
  });
}
