/**
 * Accounts whose calls and balances survive their processes: while transfers are made, the processes of the accounts are
 * killed, and no money is made or lost. Run it with `node examples/bank.mjs`.
 */
import { get, init, remote, shutdown } from "stingray";

class Account {
  #balance;
  constructor(balance) {
    this.#balance = balance;
  }
  snapshot() {
    return this.#balance;
  }
  restore(balance) {
    this.#balance = balance;
  }
  deposit(amount) {
    return (this.#balance += amount);
  }
  pid() {
    return process.pid;
  }
}

const DurableAccount = remote({ mailbox: "durable" }, Account);

await init({ cpus: 2, logToDriver: false });
const accounts = [DurableAccount.remote(100), DurableAccount.remote(100)];
const [alice, bob] = accounts;

for (let i = 1; i <= 20; i++) {
  const amount = i;
  const transfer = [
    alice.deposit.options({ callId: `transfer ${i}, from` }).remote(-amount),
    bob.deposit.options({ callId: `transfer ${i}, to` }).remote(amount),
  ];
  if (i % 5 === 0) {
    const victim = accounts[(i / 5) % 2];
    process.kill(await get(victim.pid.remote()), "SIGKILL");
    console.log(`transfer ${i}: the process of ${victim === alice ? "alice" : "bob"} was killed`);
  }
  await get(transfer);
}

const balances = await get(accounts.map((account) => account.deposit.remote(0)));
console.log(`alice has ${balances[0]}, bob has ${balances[1]}, together ${balances[0] + balances[1]}`);
await shutdown();
