/** What a submitter keeps of a stream: items in order, the reader's progress, and what leaving means. */
import { expect } from "chai";
import type { ObjectRef } from "../src/objects/object-ref.js";
import { StreamState } from "../src/stream.js";

/** Only that it was released matters here. */
function item(id: number): ObjectRef & { freed: boolean } {
  const ref = { id, freed: false, release: () => void (ref.freed = true) };
  return ref as unknown as ObjectRef & { freed: boolean };
}

describe("StreamState", () => {
  let told: number[];
  let stream: StreamState;
  beforeEach(() => {
    told = [];
    stream = new StreamState((count) => told.push(count));
  });

  it("hands out what came, in order, and waits for what has not", async () => {
    const [a, b] = [item(1), item(2)];
    const first = stream.next();
    const second = stream.next();
    stream.push(a);
    stream.push(b);
    expect(await first).to.equal(a);
    expect(await second).to.equal(b);
    expect(told).to.deep.equal([1, 2]);
    expect([stream.received, stream.progress]).to.deep.equal([2, 2]);
  });

  it("ends after the last item, for everybody who waits", async () => {
    stream.push(item(1));
    stream.end();
    expect(await stream.next()).not.to.equal(undefined);
    const waiting = [stream.next(), stream.next()];
    expect(await Promise.all(waiting)).to.deep.equal([undefined, undefined]);
    expect(stream.isEnded).to.equal(true);
  });

  it("frees what a reader leaves behind, and what still comes, and says so once", async () => {
    const items = [item(1), item(2), item(3)] as const;
    stream.push(items[0]);
    stream.push(items[1]);
    await stream.next();
    stream.leave();
    stream.leave();
    stream.push(items[2]);
    expect(items.map(({ freed }) => freed)).to.deep.equal([false, true, true]);
    expect(told).to.deep.equal([1, -1]);
    expect(stream.progress).to.equal(-1);
    expect(await stream.next()).to.equal(undefined);
  });

  it("tells nobody of a reader that leaves after the end", () => {
    stream.end();
    stream.leave();
    expect(told).to.deep.equal([]);
  });
});
