/** The figures of a store in words. */
import type { StoreFigures } from "@stingray/protocol";
import { showBytes, showCount } from "./values.js";

/** Whether there is more to say of it than how full it is. */
export function isBusyStore(store: StoreFigures): boolean {
  const { onDisk, lingering, waiting, spilledTotal } = store;
  return onDisk > 0 || lingering > 0 || waiting > 0 || spilledTotal > 0;
}

/** What `used` and `capacity` don't show, zeros left out. */
export function describeStore(store: StoreFigures): string {
  const { onDisk, lingering, waiting, spilledTotal, restoredTotal } = store;
  return [
    onDisk > 0 && `${showBytes(onDisk)} on disk`,
    spilledTotal > 0 &&
      `${showBytes(spilledTotal)} spilled and ${showBytes(restoredTotal)} restored since its start`,
    lingering > 0 && `${showBytes(lingering)} freed but still seen by processes`,
    waiting > 0 && `${showCount(waiting, "object")} ${waiting === 1 ? "waits" : "wait"} for room`,
  ]
    .filter((part) => part !== false)
    .join(", ");
}

/** All of it, in two lines. */
export function describeAll(store: StoreFigures): [now: string, inAll: string] {
  const b = showBytes;
  return [
    `${b(store.used)} of ${b(store.capacity)} used: ${b(store.leased)} leased, ${b(store.lingering)} lingering; ` +
      `${b(store.warm)} warm beside it, ${b(store.onDisk)} on disk; ` +
      `${showCount(store.objects, "object")}, ${store.waiting} waiting for room`,
    `since its start: ${b(store.spilledTotal)} spilled, ${b(store.restoredTotal)} restored, ` +
      `${b(store.sentTotal)} sent, ${b(store.receivedTotal)} received`,
  ];
}
