/** Who is ended when memory is short, and where its figures come from. */
import { expect } from "chai";
import type { MemoryEnd } from "@stingray/protocol";
import { MemoryFiles, privateMemory } from "../../src/agent/vitals/memory-files.js";
import { MemoryGuard } from "../../src/agent/vitals/memory-guard.js";
import { vitalsSettings } from "../../src/agent/vitals/settings.js";
import { chooseVictim, type MemoryUser } from "../../src/agent/vitals/victim.js";

const MIB = 2 ** 20;
const user = (worker: string, o: Partial<MemoryUser> = {}): MemoryUser => ({
  worker,
  memory: 100 * MIB,
  declared: undefined,
  kind: "retriable",
  since: 1,
  ...o,
});

describe("which worker is ended for want of memory", () => {
  const chosen = (...users: MemoryUser[]): string | undefined => chooseVictim(users)?.worker;

  it("an idle one first, then what is run again, then the rest", () => {
    const final = user("final", { kind: "final", since: 9 });
    const again = user("again", { since: 5 });
    const idle = user("idle", { kind: "idle", since: 0 });
    expect(chosen(final, again, idle)).to.equal("idle");
    expect(chosen(final, again)).to.equal("again");
    expect(chosen(final)).to.equal("final");
  });

  it("among equals who has more than declared, then the newest", () => {
    const old = user("old", { since: 1, memory: 900 * MIB });
    const young = user("young", { since: 7 });
    const over = user("over", { since: 3, declared: 50 * MIB });
    expect(chosen(old, young)).to.equal("young");
    expect(chosen(old, young, over)).to.equal("over");
  });

  it("none that would give back next to nothing", () => {
    expect(chosen(user("small", { memory: 10 * MIB }))).to.equal(undefined);
  });
});

describe("the guard of the memory", () => {
  function guard(settings: Record<string, string>, users: MemoryUser[]) {
    const ended: [string, MemoryEnd][] = [];
    const said: string[] = [];
    const clock = { now: 10_000 };
    const it = new MemoryGuard(vitalsSettings(settings), {
      users: () => users,
      end: (worker, why) => void ended.push([worker, why]),
      say: (worker, line) => void said.push(`${worker}: ${line}`),
      now: () => clock.now,
    });
    return { it, ended, said, clock };
  }
  const short = { total: 1_000 * MIB, available: 20 * MIB };
  const fine = { total: 1_000 * MIB, available: 500 * MIB };

  it("ends one at a time, and the next one only when that has had time to show", () => {
    const { it: guarded, ended, clock } = guard({}, [user("a", { since: 2 }), user("b")]);
    guarded.looked(fine);
    guarded.looked(undefined);
    expect(ended).to.deep.equal([]);
    guarded.looked(short);
    guarded.looked(short);
    expect(ended).to.deep.equal([["a", { kind: "machine", used: 100 * MIB, ...short }]]);
    clock.now += 2_500;
    guarded.looked(short);
    expect(ended).to.have.length(2);
  });

  it("can be told to leave it to the kernel, and to begin earlier", () => {
    const never = guard({ STINGRAY_MEMORY_THRESHOLD: "1" }, [user("a")]);
    never.it.looked(short);
    expect(never.ended).to.deep.equal([]);
    const early = guard({ STINGRAY_MEMORY_THRESHOLD: "0.4" }, [user("a")]);
    early.it.looked(fine);
    expect(early.ended).to.have.length(1);
  });

  it("tells, once, of a worker that uses more than it declared; ends it where that is asked for", () => {
    const users = [user("a", { declared: 60 * MIB })];
    const warned = guard({}, users);
    warned.it.looked(fine);
    warned.it.looked(fine);
    expect(warned.said).to.have.length(1);
    expect(warned.said[0]).to.contain("100 MiB").and.to.contain("60 MiB");
    expect(warned.ended).to.deep.equal([]);
    const strict = guard({ STINGRAY_MEMORY_LIMITS: "enforce" }, users);
    strict.it.looked(fine);
    expect(strict.ended).to.deep.equal([["a", { kind: "declared", used: 100 * MIB, limit: 60 * MIB }]]);
  });

  it("refuses settings that make no sense", () => {
    expect(() => vitalsSettings({ STINGRAY_MEMORY_LIMITS: "maybe" })).to.throw(/enforce/);
    expect(() => vitalsSettings({ STINGRAY_MEMORY_THRESHOLD: "95" })).to.throw(/from 0.01 to 1/);
  });
});

describe("what the kernel says of memory", () => {
  const files = (there: Record<string, string>): MemoryFiles => new MemoryFiles((path) => there[path]);
  const meminfo = "MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:  600 kB\n";

  it("of a process: without what it shares", () => {
    expect(privateMemory(7, () => "5000 300 100 1 0 900 0\n")).to.equal(200 * 4096);
    expect(privateMemory(7, () => undefined)).to.equal(undefined);
  });

  it("of the machine; nothing where there is no such file", () => {
    expect(files({ "/proc/meminfo": meminfo }).machine()).to.deep.equal({
      total: 1000 * 1024,
      available: 600 * 1024,
    });
    expect(files({}).machine()).to.equal(undefined);
  });

  it("of the control group, or one above it, where that has less left", () => {
    const group = {
      "/proc/meminfo": meminfo,
      "/proc/self/cgroup": "0::/a/b\n",
      "/sys/fs/cgroup/a/b/memory.max": "max\n",
      "/sys/fs/cgroup/a/b/memory.current": "90000\n",
      "/sys/fs/cgroup/a/memory.max": "100000\n",
      "/sys/fs/cgroup/a/memory.current": "90000\n",
      "/sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 20000\n",
    };
    expect(files(group).machine()).to.deep.equal({ total: 100_000, available: 30_000 });
    const older = {
      "/proc/meminfo": meminfo,
      "/proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/x\n",
      "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "50000\n",
      "/sys/fs/cgroup/memory/x/memory.usage_in_bytes": "40000\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/memory.usage_in_bytes": "40000\n",
    };
    expect(files(older).machine()).to.deep.equal({ total: 50_000, available: 10_000 });
  });

  it("of processes that it has ended", () => {
    expect(files({ "/proc/vmstat": "pgfault 3\noom_kill 4\n" }).kills()).to.equal(4);
    expect(files({}).kills()).to.equal(0);
  });
});
