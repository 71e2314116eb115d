/** What happens to a connection while it lives. */
import { errors, type NatsConnection, type Status } from "@nats-io/transport-node";
import { AuthError, ConnectionError } from "@stingray/protocol";
import { isRefusal } from "./explain.js";

export type BrokerEvent =
  /** The server is gone; the client is trying to get back. */
  | { type: "disconnected"; server: string }
  | { type: "reconnected"; server: string }
  /** The user may not publish or subscribe to this subject; the message or subscription is lost. */
  | { type: "denied"; operation: "publish" | "subscription"; subject: string; error: AuthError }
  /** The server refuses the credentials on reconnect; the client keeps trying. */
  | { type: "refused"; error: AuthError }
  /** Any other error that the server reports, such as a slow consumer. */
  | { type: "error"; error: ConnectionError }
  /** The server is about to be stopped; the client moves to another one when it is. */
  | { type: "leaving"; server: string }
  /** The connection was closed for good. The last event. */
  | { type: "closed" };

/**
 * Tells of every event from now on, until the connection closes or the returned function is called. An error thrown
 * by `onEvent` is thrown as an uncaught exception: a listener that fails must not go unseen.
 */
export function watchConnection(nc: NatsConnection, onEvent: (event: BrokerEvent) => void): () => void {
  let watching = true;
  const follow = async (): Promise<void> => {
    for await (const status of nc.status()) {
      if (!watching) return;
      const event = eventOf(status);
      if (event !== undefined) tell(onEvent, event);
    }
  };
  void follow();
  return () => {
    watching = false;
  };
}

function tell(onEvent: (event: BrokerEvent) => void, event: BrokerEvent): void {
  try {
    onEvent(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function eventOf(status: Status): BrokerEvent | undefined {
  switch (status.type) {
    case "disconnect":
      return { type: "disconnected", server: status.server };
    case "reconnect":
      return { type: "reconnected", server: status.server };
    case "ldm":
      return { type: "leaving", server: status.server };
    case "close":
      return { type: "closed" };
    case "error":
      return errorEvent(status.error);
    case "reconnecting":
    case "update":
    case "ping":
    case "staleConnection":
    case "forceReconnect":
    case "slowConsumer":
      return undefined;
  }
}

function errorEvent(error: Error): BrokerEvent {
  if (error instanceof errors.PermissionViolationError) {
    const { operation, subject } = error;
    const verb = operation === "publish" ? "publish to" : "subscribe to";
    const denied = new AuthError(
      `this user may not ${verb} "${subject}": grant it in the permissions of the server's configuration, ` +
        "or connect with credentials of another role",
      { cause: error, detail: { operation, subject } },
    );
    return { type: "denied", operation, subject, error: denied };
  }
  if (isRefusal(error)) {
    const refused = new AuthError(
      "the broker refuses the credentials that it took before: they were changed or have expired; " +
        "connection attempts go on, restart with the new ones",
      { cause: error },
    );
    return { type: "refused", error: refused };
  }
  return {
    type: "error",
    error: new ConnectionError(`the broker reports: ${error.message}`, { cause: error }),
  };
}
