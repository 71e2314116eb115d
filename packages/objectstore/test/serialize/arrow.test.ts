import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Table, RecordBatch, Vector, tableFromArrays, vectorFromArray } from "apache-arrow";
import { expect } from "chai";
import { decode, encode } from "../../src/mod.js";

const rows = (table: Table): unknown[] =>
  table.toArray().map((row) => (row as { toJSON(): unknown }).toJSON());

describe("Arrow data", function () {
  this.timeout(20_000);

  it("tables come back with their values", () => {
    const table = tableFromArrays({ n: Int32Array.from([1, 2, 3]), s: ["a", "b", "a"] });
    const copy = decode(encode({ table }).bytes()) as { table: Table };
    expect(copy.table).to.be.instanceOf(Table);
    expect(rows(copy.table)).to.deep.equal(rows(table));
  });

  it("record batches and vectors too", () => {
    const table = tableFromArrays({ n: Float64Array.from([1.5, 2.5]) });
    const vector = vectorFromArray(["x", "y", null]);
    const copy = decode(encode([table.batches[0], vector]).bytes()) as [RecordBatch, Vector];
    expect(copy[0]).to.be.instanceOf(RecordBatch);
    expect(copy[0].numRows).to.equal(2);
    expect(copy[1]).to.be.instanceOf(Vector);
    expect([...copy[1]]).to.deep.equal(["x", "y", null]);
  });

  it("an empty table keeps its columns", () => {
    const copy = decode(encode(tableFromArrays({ n: new Int32Array(0) })).bytes()) as Table;
    expect(copy.numRows).to.equal(0);
    expect(copy.schema.fields.map((field) => field.name)).to.deep.equal(["n"]);
  });

  it("the memory of the table is written from where it is, and read where it lies", () => {
    const column = Float64Array.from({ length: 100_000 }, (_, i) => i);
    const encoded = encode(tableFromArrays({ column }));
    expect(encoded.parts.some((part) => part.buffer === column.buffer)).to.equal(true);
    const bytes = encoded.bytes();
    const copy = decode(bytes, { views: true }) as Table;
    const memory = (table: Table): Float64Array => table.getChild("column")?.data[0]?.values as Float64Array;
    const values = memory(copy);
    expect(values.buffer).to.equal(bytes.buffer);
    expect(values[99_999]).to.equal(99_999);
    const own = decode(bytes) as Table;
    expect(memory(own).buffer).not.to.equal(bytes.buffer);
  });

  it("the library is not loaded before it is needed", async () => {
    const mod = new URL("../../src/mod.js", import.meta.url).href;
    const script = `
      const { encode, decode } = await import(${JSON.stringify(mod)});
      decode(encode([1, { a: new Map() }]).bytes());
      const { createRequire } = await import("node:module");
      const loaded = Object.keys(createRequire(${JSON.stringify(mod)}).cache);
      console.log(loaded.filter((name) => name.includes("apache-arrow")).length);
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    expect(stdout.trim()).to.equal("0");
  });
});
