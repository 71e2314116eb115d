/** Waiting, but not for ever. */
import { TimeoutError } from "@stingray/protocol";

/** What `promise` yields. `what`: "<somebody> to <do something>". @throws TimeoutError after `ms`; what comes later is dropped */
export async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeoutError(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
