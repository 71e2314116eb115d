// Actors with decorators: how often an actor may restart, and which of its methods only read, stand beside the code
// they are about. Node's own TypeScript support takes no decorators, so this one runs with tsx:
//
//   node --import tsx examples/decorators.ts

import { actor, get, init, method, remote, shutdown } from "stingray";

@actor({ maxRestarts: 1 })
class Account {
  #balance: number;

  constructor(balance: number) {
    this.#balance = balance;
  }

  // One message at a time, to the end: between the check and the withdrawal nobody else comes in.
  async withdraw(amount: number): Promise<number> {
    if (amount > this.#balance)
      throw new RangeError(`${amount} is more than the balance of ${this.#balance}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.#balance -= amount;
    return this.#balance;
  }

  // Shared methods run beside each other, but never beside the others.
  @method({ shared: true })
  balance(): number {
    return this.#balance;
  }
}

const RemoteAccount = remote(Account);

await init();

const account = RemoteAccount.remote(100);
const withdrawals = [60, 30, 20].map((amount) => account.withdraw.remote(amount));
for (const withdrawal of withdrawals) {
  try {
    console.log(`withdrawn, left: ${await get(withdrawal)}`);
  } catch (error) {
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    console.log(`refused: ${reason instanceof Error ? reason.message : String(reason)}`);
  }
}
console.log(`balance: ${await get(account.balance.remote())}`);

await shutdown();
