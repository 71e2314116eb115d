/** Which leases to ask back, so that those who wait get their share. Decides only. */
import type { ResourceAccount } from "./account.js";
import type { Ask } from "./ask.js";
import type { Lease } from "./lease-book.js";
import type { Room } from "./room.js";
import { Shares, rivals } from "./shares.js";

/** Where two have about the same, and what can't be divided goes back and forth between them: for so long. Milliseconds. */
const TURN_MS = 1_000;

export interface RevokeInput {
  /** Who has waited long enough, in the order in which they are to be served. */
  waiting: readonly Ask[];
  /** Of these accounts; for who waits for want of workers, also of others. */
  leases: Iterable<Lease>;
  /** What those who wait may take from: each from one of them. */
  accounts: readonly ResourceAccount[];
  now: number;
  /** Leases younger than this, in milliseconds, are left alone. */
  minAgeMs: number;
}

interface Candidate {
  readonly lease: Lease;
  readonly since: number;
  readonly share: number;
}

/**
 * The leases to revoke: for each that waits as few as make room for one more unit of it, from those who hold more
 * than it does, and none if that would not be enough. Blocked leases hold no CPUs and are left alone.
 */
export function leasesToRevoke(input: RevokeInput): Lease[] {
  const shares = new Shares();
  const candidates: Candidate[] = [];
  const rooms = new Map(input.accounts.map((account) => [account, account.room()]));
  for (const lease of input.leases) {
    if (lease.ask.kind === "reserve") continue;
    const { allocation } = lease;
    if (lease.state.name === "revoking") rooms.get(allocation.account)?.add(lease.ask.need, allocation.gpus);
    if (lease.state.name !== "held") continue;
    const { share } = lease;
    shares.change(lease.ask, share, 1);
    const { since } = lease.state;
    if (input.now - since >= input.minAgeMs) candidates.push({ lease, since, share });
  }
  candidates.sort((a, b) => a.since - b.since);

  const chosen = new Set<Lease>();
  for (const ask of input.waiting) {
    for (const place of placesFor(ask, rooms)) {
      const room = makeRoom(ask, place, { candidates, chosen, shares, now: input.now });
      if (room === undefined) continue;
      room.take(ask.need);
      rooms.set(place.account, room);
      break;
    }
  }
  return [...chosen];
}

/** Where room is made for one that waits: in one account, and on as few of its GPUs as will do. */
interface Place {
  readonly account: ResourceAccount;
  readonly room: Room;
  readonly devices: readonly number[];
}

function placesFor(ask: Ask, rooms: ReadonlyMap<ResourceAccount, Room>): Place[] {
  return [...rooms].flatMap(([account, room]) =>
    room.deviceSets(ask.need).map((devices) => ({ account, room, devices })),
  );
}

/** Chooses as few leases as make room in this place. What is free there then; undefined, and none chosen, if none would do. */
function makeRoom(ask: Ask, { account, room, devices }: Place, from: Choice): Room | undefined {
  const { chosen, shares } = from;
  const victims: Candidate[] = [];
  const left = room.copy();
  let slots = ask.waitsFor === "workers" ? 0 : 1;
  let lacks = left.lacks(ask.need);
  while (slots < 1 || lacks.length > 0) {
    // For want of a worker any lease will do.
    const helps = ({ lease }: Candidate): boolean =>
      slots < 1 ||
      (lease.allocation.account === account &&
        lacks.some((name) =>
          name === "GPU"
            ? lease.allocation.gpus.some((device) => devices.includes(device))
            : lease.ask.need.units(name) > 0,
        ));
    const victim = pick(ask, helps, from);
    if (victim === undefined) {
      for (const one of victims) {
        chosen.delete(one.lease);
        shares.change(one.lease.ask, one.share, 1);
      }
      return undefined;
    }
    chosen.add(victim.lease);
    victims.push(victim);
    shares.change(victim.lease.ask, victim.share, -1);
    const { allocation } = victim.lease;
    if (allocation.account === account) left.add(victim.lease.ask.need, allocation.gpus);
    lacks = left.lacks(ask.need);
    slots++;
  }
  return left;
}

interface Choice {
  candidates: readonly Candidate[];
  chosen: Set<Lease>;
  shares: Shares;
  now: number;
}

/** The lease of the largest holder, the oldest of those, among those that help. */
function pick(
  ask: Ask,
  helps: (candidate: Candidate) => boolean,
  { candidates, chosen, shares, now }: Choice,
): Candidate | undefined {
  let best: Candidate | undefined;
  let most = 0;
  for (const candidate of candidates) {
    const { lease, since, share } = candidate;
    if (chosen.has(lease) || !helps(candidate)) continue;
    const { ahead, behind } = lead(lease.ask, ask, shares);
    if (ahead <= most) continue;
    // It would only change sides: that is for those who have nothing, or when a turn is over.
    if (behind > 0 && ahead <= share && now - since < TURN_MS) continue;
    [best, most] = [candidate, ahead];
  }
  return best;
}

/**
 * By how much the holder is ahead of the waiting one, where they first differ, and what the latter has. 0: may keep
 * what it has.
 */
function lead(holder: Ask, waiting: Ask, shares: Shares): { ahead: number; behind: number } {
  const names = rivals(holder, waiting);
  if (holder.priority > waiting.priority || names === undefined) return { ahead: 0, behind: 0 };
  if (holder.priority < waiting.priority || waiting.kind === "reserve") return { ahead: Infinity, behind: 0 };
  const behind = shares.of(names[1]);
  return { ahead: Math.max(0, shares.of(names[0]) - behind), behind };
}
