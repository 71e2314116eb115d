/** Which of the actors that this process knows has which name: what leads there by its name is to keep one order. */
import type { ActorClient } from "./client.js";

export class NamedClients {
  private readonly byName = new Map<string, ActorClient>();
  private readonly names = new WeakMap<ActorClient, string>();

  /** The client of that name; this one becomes it where there is none. */
  of(namespace: string, name: string, client: ActorClient): ActorClient {
    const key = JSON.stringify([namespace, name]);
    const known = this.byName.get(key)?.current;
    if (known !== undefined && known.state.kind !== "dead") return known;
    this.byName.set(key, client);
    this.names.set(client, key);
    return client;
  }

  /** It is dead. */
  forget(client: ActorClient): void {
    const key = this.names.get(client);
    if (key !== undefined && this.byName.get(key)?.current === client) this.byName.delete(key);
  }
}
