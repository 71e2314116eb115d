/** Who needs which object to stay where it is, until they have mapped it. Counted per client. */
export class Holds {
  private readonly byObject = new Map<string, number>();
  private readonly byClient = new Map<string, Map<string, number>>();

  held(object: string): boolean {
    return this.byObject.has(object);
  }

  add(object: string, client: string): void {
    let counts = this.byClient.get(client);
    if (counts === undefined) this.byClient.set(client, (counts = new Map()));
    counts.set(object, (counts.get(object) ?? 0) + 1);
    this.byObject.set(object, (this.byObject.get(object) ?? 0) + 1);
  }

  /** Lets go once. Without a hold it is no error. */
  remove(object: string, client: string): void {
    const counts = this.byClient.get(client);
    const count = counts?.get(object);
    if (counts === undefined || count === undefined) return;
    if (count > 1) counts.set(object, count - 1);
    else counts.delete(object);
    if (counts.size === 0) this.byClient.delete(client);
    this.lessen(object, 1);
  }

  clientDied(client: string): void {
    for (const [object, count] of this.byClient.get(client) ?? []) this.lessen(object, count);
    this.byClient.delete(client);
  }

  private lessen(object: string, by: number): void {
    const left = (this.byObject.get(object) ?? 0) - by;
    if (left > 0) this.byObject.set(object, left);
    else this.byObject.delete(object);
  }
}
