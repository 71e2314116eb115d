import type { ActorRow } from "@stingray/gcs-kv";
import type { ActorSpec, WireError } from "@stingray/protocol";
import { expect } from "chai";
import { nextActorRow, viewOf } from "../../src/controller/actor-machine.js";

const cause: WireError = { code: "WORKER_CRASHED", message: "it died" };
const row = (o: Partial<ActorRow> = {}, maxRestarts = 0): ActorRow => ({
  spec: { actor: "aaaaaaaaaaaaa", maxRestarts } as ActorSpec,
  state: "PENDING",
  epoch: 0,
  agent: "g1",
  restarts: 0,
  ...o,
});
const alive = { kind: "alive", agent: "g2", node: "n2", process: "w2", epoch: 7 } as const;

describe("controller: states of an actor", () => {
  it("goes from a claim to a host to life", () => {
    const hosted = nextActorRow(row(), { kind: "hosted", agent: "g2", node: "n2", epoch: 7 });
    expect(hosted).to.deep.include({ state: "PENDING", epoch: 7, agent: "g2", node: "n2" });
    const lives = nextActorRow(hosted as ActorRow, alive);
    expect(lives).to.deep.include({ state: "ALIVE", epoch: 7, process: "w2" });
    expect(viewOf(lives as ActorRow)).to.deep.equal({
      actor: "aaaaaaaaaaaaa",
      state: "ALIVE",
      epoch: 7,
      process: "w2",
      node: "n2",
    });
  });

  it("lets nothing happen to a dead actor", () => {
    const dead = row({ state: "DEAD", cause });
    expect(nextActorRow(dead, alive)).to.equal(undefined);
    expect(nextActorRow(dead, { kind: "ended", cause })).to.equal(undefined);
    expect(nextActorRow(dead, { kind: "claimed", agent: "g3" })).to.equal(undefined);
    expect(nextActorRow(dead, { kind: "lost", epoch: 0, agent: "g3", cause })).to.equal(undefined);
  });

  it("refuses what comes from an older incarnation", () => {
    const second = row({ state: "ALIVE", epoch: 9, process: "w9" }, -1);
    expect(nextActorRow(second, { kind: "lost", epoch: 7, agent: "g3", cause })).to.equal(undefined);
    expect(nextActorRow(row({ epoch: 9 }), alive)).to.equal(undefined);
    expect(nextActorRow(row({ epoch: 9 }), { kind: "hosted", agent: "g2", node: "n2", epoch: 7 })).to.equal(
      undefined,
    );
    expect(nextActorRow(second, { kind: "claimed", agent: "g3" })).to.equal(undefined);
  });

  it("moves in order without a restart, until the next incarnation lives", () => {
    const lives = row({ state: "ALIVE", epoch: 3, process: "w1", node: "n1" }, 1);
    const moved = { kind: "moved", epoch: 3, agent: "g1", cause } as const;
    const moves = nextActorRow(lives, moved) as ActorRow;
    expect(moves).to.deep.include({ state: "RESTARTING", epoch: 3, restarts: 0, agent: "g1", moving: true });
    expect(viewOf(moves).moving).to.equal(true);
    const hosted = nextActorRow(moves, { kind: "hosted", agent: "g2", node: "n2", epoch: 7 }) as ActorRow;
    expect(hosted).to.deep.include({ state: "RESTARTING", moving: true });
    expect(nextActorRow(hosted, alive))
      .to.deep.include({ state: "ALIVE", restarts: 0 })
      .and.not.have.property("moving");
    for (const other of [moves, row({ state: "ALIVE", epoch: 5 }), row({ state: "DEAD", cause })])
      expect(nextActorRow(other, moved)).to.equal(undefined);
  });

  it("restarts as often as it may, then is dead with the cause", () => {
    let now: ActorRow | undefined = row({ state: "ALIVE", epoch: 3, process: "w1" }, 2);
    for (const restarts of [1, 2]) {
      now = nextActorRow(now as ActorRow, { kind: "lost", epoch: 3, agent: "g3", cause });
      expect(now).to.deep.include({ state: "RESTARTING", restarts, agent: "g3" });
      expect(now).not.to.have.property("process");
    }
    now = nextActorRow(now as ActorRow, { kind: "lost", epoch: 3, agent: "g3", cause });
    expect(now).to.deep.include({ state: "DEAD", cause });
  });
});
