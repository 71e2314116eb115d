/** Processes that have ended. What they had asked for may still come to its turn, and messages may come late. */

/** More are not remembered: the oldest are forgotten first, long after anything of them can be on its way. */
const MOST = 10_000;

export class Departed {
  private readonly clients = new Set<string>();

  add(client: string): void {
    this.clients.delete(client);
    this.clients.add(client);
    if (this.clients.size <= MOST) return;
    for (const oldest of this.clients) {
      this.clients.delete(oldest);
      return;
    }
  }

  has(client: string): boolean {
    return this.clients.has(client);
  }
}
