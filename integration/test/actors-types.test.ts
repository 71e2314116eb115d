/** What the compiler knows of actors. Everything in `typesOnly` is checked by compiling it; it never runs. */
import { expect } from "chai";
import {
  get,
  getActor,
  put,
  remote,
  type ActorHandle,
  type ObjectRef,
  type ObjectRefStream,
  type RemoteClass,
} from "stingray";
import type { Queue } from "stingray/util";

class Account {
  #secret = 0;
  readonly label = "account";
  constructor(
    readonly owner: string,
    private balance = 0,
  ) {}
  deposit(amount: number, note?: string): number {
    this.#secret += note?.length ?? 0;
    return (this.balance += amount);
  }
  async history(): Promise<{ amount: number }[]> {
    return [{ amount: this.#audit() }];
  }
  *each(): Generator<number> {
    yield this.balance;
  }
  async *eachLater(): AsyncGenerator<string> {
    yield this.owner;
  }
  *eachOf(): IterableIterator<number> {
    yield this.balance;
  }
  async *eachLaterOf(): AsyncIterableIterator<string> {
    yield this.owner;
  }
  async *someLater(): AsyncIterable<string> {
    yield this.owner;
  }
  inbox(queue: Queue<string>): Queue<string> {
    return queue;
  }
  both(): [number, string] {
    return [this.balance, this.owner];
  }
  transfer(_to: ActorHandle<Account>, _amount: number): void {}
  protected internal(): void {}
  #audit(): number {
    return this.#secret;
  }
}
class Other {
  unrelated(): void {}
}
const RemoteAccount = remote(Account);
const RemoteOther = remote({ maxRestarts: 1 }, Other);

/** True where the types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(asExpected: Same<A, B>): void => void asExpected;

async function typesOnly(): Promise<void> {
  same<typeof RemoteAccount, RemoteClass<[owner: string, balance?: number], Account>>(true);
  const account = RemoteAccount.remote("Ada", 1);
  RemoteAccount.remote(await put("Ada"));
  RemoteAccount.options({ maxRestarts: Infinity, lifetime: "detached" }).remote("Ada");
  same<typeof account, ActorHandle<Account>>(true);
  // @ts-expect-error the constructor needs an owner
  RemoteAccount.remote();
  // @ts-expect-error of the wrong type
  RemoteAccount.remote(1);
  // @ts-expect-error also behind a reference
  RemoteAccount.remote(await put(1));
  // @ts-expect-error no such option
  RemoteAccount.options({ maxRestart: 1 });
  // @ts-expect-error no such lifetime
  RemoteAccount.options({ lifetime: "forever" });

  const balance = account.deposit.remote(1);
  same<typeof balance, ObjectRef<number>>(true);
  account.deposit.remote(balance, "a reference for a value");
  account.deposit.options({ maxTaskRetries: 1, signal: AbortSignal.timeout(1) }).remote(1);
  same<ReturnType<typeof account.history.remote>, ObjectRef<{ amount: number }[]>>(true);
  same<ReturnType<typeof account.each.remote>, ObjectRefStream<number>>(true);
  same<ReturnType<typeof account.eachLater.remote>, ObjectRefStream<string>>(true);
  same<ReturnType<typeof account.eachOf.remote>, ObjectRefStream<number>>(true);
  same<ReturnType<typeof account.eachLaterOf.remote>, ObjectRefStream<string>>(true);
  same<ReturnType<typeof account.someLater.remote>, ObjectRefStream<string>>(true);
  same<ReturnType<typeof account.inbox.remote>, ObjectRef<Queue<string>>>(true);
  const both = account.both.options({ returns: 2 }).remote();
  same<typeof both, [ObjectRef<number>, ObjectRef<string>]>(true);
  account.transfer.remote(RemoteAccount.remote("Grace"), 1);
  const values = await get([balance, account.history.remote()]);
  same<(typeof values)[0], number>(true);
  // @ts-expect-error no such method
  account.withdraw.remote(1);
  // @ts-expect-error not called directly
  account.deposit(1);
  // @ts-expect-error a wrong argument
  account.deposit.remote("1");
  // @ts-expect-error too few
  account.deposit.remote();
  // @ts-expect-error too many
  account.deposit.remote(1, "", 2);
  // @ts-expect-error a reference to a wrong argument
  account.deposit.remote(account.history.remote());
  // @ts-expect-error a field is no method
  account.label.remote();
  // @ts-expect-error private fields neither
  account.balance.remote();
  // @ts-expect-error nor protected methods
  account.internal.remote();
  // @ts-expect-error the handle of another class
  account.transfer.remote(RemoteOther.remote(), 1);
  // @ts-expect-error no such option of a call
  account.deposit.options({ retries: 1 });

  const found = await getActor<Account>("ada");
  same<typeof found, ActorHandle<Account>>(true);
  same<ReturnType<typeof found.deposit.remote>, ObjectRef<number>>(true);
}

describe("types of actors", () => {
  it("tell wrong constructors, methods, arguments and options when compiled", () => {
    expect(typesOnly).to.be.a("function");
    expect(RemoteAccount.remoteName).to.equal("Account");
  });
});
