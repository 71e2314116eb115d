/** What a promise rejects with. @throws Error if it does not */
export async function caught(promise: Promise<unknown>): Promise<Error> {
  let value: unknown;
  try {
    value = await promise;
  } catch (thrown) {
    return thrown as Error;
  }
  throw new Error(`nothing was thrown, but ${String(value)} came`);
}
