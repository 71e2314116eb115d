/** The members of a pool: who is free, who is lost, who waits for one. */
import { isActorHandle, ready } from "@stingray/actor";
import { actorIdOf } from "@stingray/actor/internal";
import { ActorDiedError, ActorUnavailableError, InvalidArgumentError, describe } from "@stingray/protocol";
import { Fifo } from "@stingray/task/internal";

interface Wanting<H> {
  resolve(member: H): void;
  reject(error: Error): void;
}

export class Members<H extends object> {
  private readonly free = new Fifo<H>();
  private readonly wanting = new Fifo<Wanting<H>>();
  /** All that are alive, as far as is known: free, at work, or being restarted. */
  private readonly alive = new Set<H>();
  private lastLost: Error | undefined;

  get size(): number {
    return this.alive.size;
  }

  get hasFree(): boolean {
    return this.free.length > 0;
  }

  /** @throws InvalidArgumentError for what is no handle of an actor, or one that is a member */
  add(member: H): void {
    if (!isActorHandle(member))
      throw new InvalidArgumentError(`ActorPool takes handles of actors, got ${describe(member)}`);
    const id = actorIdOf(member);
    for (const other of this.alive)
      if (actorIdOf(other) === id)
        throw new InvalidArgumentError(`ActorPool: actor ${id} is a member of this pool already`);
    this.alive.add(member);
    this.giveBack(member);
  }

  /** Takes a free one out for good. */
  remove(): H | undefined {
    const member = this.free.shift();
    if (member !== undefined) this.alive.delete(member);
    return member;
  }

  /** A free one, when there is one. @throws ActorDiedError where none is left; InvalidArgumentError where none ever was */
  take(): Promise<H> {
    const member = this.free.shift();
    if (member !== undefined) return Promise.resolve(member);
    if (this.alive.size === 0) return Promise.reject(this.nobody());
    return new Promise((resolve, reject) => this.wanting.push({ resolve, reject }));
  }

  giveBack(member: H): void {
    const next = this.wanting.shift();
    if (next === undefined) this.free.push(member);
    else next.resolve(member);
  }

  /** Whether an error of a call says that the member itself is gone, and not what it called. */
  isLoss(member: H, error: unknown): boolean {
    if (!(error instanceof ActorDiedError) && !(error instanceof ActorUnavailableError)) return false;
    const { actor } = error.detail;
    return actor === undefined || actor === actorIdOf(member);
  }

  /** A dead one is taken out; one that is being restarted comes back when it lives. */
  lost(member: H, error: Error): void {
    if (error instanceof ActorDiedError) this.gone(member, error);
    else
      ready(member).then(
        () => this.giveBack(member),
        (death: Error) => this.gone(member, death),
      );
  }

  private gone(member: H, error: Error): void {
    this.alive.delete(member);
    this.lastLost = error;
    if (this.alive.size > 0) return;
    for (const waiting of this.wanting.drain()) waiting.reject(this.nobody());
  }

  private nobody(): Error {
    if (this.lastLost === undefined)
      return new InvalidArgumentError("the ActorPool has no members; push() some first");
    return new ActorDiedError(
      `all members of the ActorPool have died, the last one: ${this.lastLost.message}; push() others, or give the actors maxRestarts`,
      { cause: this.lastLost },
    );
  }
}
