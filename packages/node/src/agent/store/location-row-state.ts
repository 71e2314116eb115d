/** The life of one row of the table of objects, as the one agent that writes it sees it. */

/** What is done to a row. */
export type RowWrite = "put" | "delete";

/**
 * - `absent`: there is no row, and none is wanted
 * - `young`: the object has just come, and gets its row if it stays
 * - `due`: to be written. `touched`: there may be a row already, so that an object that goes leaves one to be deleted
 * - `writing`: under way; what is wanted after it, if anything
 * - `written`: there is a row, and it is right
 */
export type RowState =
  | { kind: "absent" }
  | { kind: "young" }
  | { kind: "due"; write: RowWrite; touched: boolean }
  | { kind: "writing"; write: RowWrite; next?: RowWrite }
  | { kind: "written" };

/**
 * - `here`: the object came, or is another than it was; `gone`
 * - `aged`: it has stayed
 * - `started`, `done`: the write
 * - `failed`: it may or may not have been done, and is to be tried again; `refused`: trying again is of no use
 */
export type RowEvent = "here" | "gone" | "aged" | "started" | "done" | "failed" | "refused";

const due = (write: RowWrite, touched: boolean): RowState => ({ kind: "due", write, touched });

/** The state after an event; the same where the event means nothing in it. */
export function nextRowState(state: RowState, event: RowEvent): RowState {
  switch (state.kind) {
    case "absent":
      return event === "here" ? { kind: "young" } : state;
    case "young":
      if (event === "aged") return due("put", false);
      return event === "gone" ? { kind: "absent" } : state;
    case "due":
      if (event === "started") return { kind: "writing", write: state.write };
      if (event === "here") return due("put", state.touched);
      if (event !== "gone") return state;
      return state.touched ? due("delete", true) : { kind: "absent" };
    case "writing":
      return afterWrite(state, event);
    case "written":
      if (event === "here") return due("put", true);
      return event === "gone" ? due("delete", true) : state;
  }
}

function afterWrite(state: Extract<RowState, { kind: "writing" }>, event: RowEvent): RowState {
  const { write, next } = state;
  switch (event) {
    case "here":
      return { kind: "writing", write, next: "put" };
    case "gone":
      return write === "delete" ? { kind: "writing", write } : { kind: "writing", write, next: "delete" };
    case "failed":
      return due(next ?? write, true);
    case "done":
      if (next !== undefined) return due(next, true);
      return write === "put" ? { kind: "written" } : { kind: "absent" };
    case "refused":
      return next === undefined ? { kind: "absent" } : due(next, true);
    case "aged":
    case "started":
      return state;
  }
}
