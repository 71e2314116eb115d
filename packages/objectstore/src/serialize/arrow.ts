/**
 * Apache Arrow tables, record batches and vectors, as IPC streams. The library takes some 70 ms to load, so it is
 * loaded when the first such value is met, and recognised by its registered symbols before.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type * as Arrow from "apache-arrow";

type Library = typeof Arrow;
/** Numbers on the wire. */
const KINDS = ["Table", "RecordBatch", "Vector"].map((name) => Symbol.for(`apache-arrow/${name}`));
/** The column of a vector that travels as a table. */
const COLUMN = "v";

let loaded: Library | undefined;

/** The copy that `import "apache-arrow"` gives, where the platform can load it synchronously. */
function library(): Library {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  try {
    loaded = require(fileURLToPath(import.meta.resolve("apache-arrow"))) as Library;
  } catch {
    // No require() of ES modules here: the CommonJS build is a second copy, whose classes know those of the first.
    loaded = require("apache-arrow") as Library;
  }
  return loaded;
}

/** 0 table, 1 record batch, 2 vector; -1: none of them. */
export function arrowKindOf(object: object): number {
  return KINDS.findIndex((symbol) => symbol in object);
}

/** An IPC stream of it, in pieces, most of which are the memory of the value itself. */
export function arrowPieces(object: object, kind: number): Uint8Array[] {
  const arrow = library();
  const pieces: Uint8Array[] = [];
  class Sink extends arrow.AsyncByteQueue {
    override write(value: Uint8Array): void {
      if (value.byteLength > 0) pieces.push(value);
    }
  }
  const table =
    kind === 0
      ? (object as Arrow.Table)
      : kind === 1
        ? new arrow.Table([object as Arrow.RecordBatch])
        : new arrow.Table({ [COLUMN]: object as Arrow.Vector });
  const writer = new arrow.RecordBatchStreamWriter();
  writer.reset(new Sink());
  writer.writeAll(table); // with the schema before and the end behind
  return pieces;
}

/** The inverse; buffers are views on `stream`. */
export function arrowFrom(stream: Uint8Array, kind: number): unknown {
  const arrow = library();
  const table = arrow.tableFromIPC(stream);
  if (kind === 0) return table;
  if (kind === 1) return table.batches[0] ?? new arrow.RecordBatch(table.schema);
  return table.getChild(COLUMN);
}
