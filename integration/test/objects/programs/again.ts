/** Tasks for values that are lost and made again, and for processes that end with what they were given. */
import { existsSync, writeFileSync } from "node:fs";
import { get, remote, type ObjectRef } from "stingray";
import { content, type Piece } from "./content.js";
import type { Bytes, Held } from "./pieces.js";

async function whenFile(file: string): Promise<void> {
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Large the first time; then it fails. */
export const onlyOnce = remote((argument: Bytes, piece: Piece, file: string): Bytes => {
  if (argument.length === 0 || existsSync(file)) throw new Error("it can't be made again");
  writeFileSync(file, "");
  return content(piece);
});
/** Takes a worker until the file is there. */
export const occupied = remote(async (began: string, file: string): Promise<string> => {
  writeFileSync(began, "");
  await whenFile(file);
  return "done";
});
export const lengthAfter = remote(async (file: string, held: Held): Promise<number> => {
  await whenFile(file);
  return (await get(held.ref)).length;
});
interface Maker {
  readonly make: { remote(name: string, piece: Piece): ObjectRef<Held> };
}
/** Has the actor make an object, and ends its process with the reference to it. */
export const dieWithIt = remote(
  { maxRetries: 0 },
  async (keeper: Maker, piece: Piece): Promise<ObjectRef> => {
    const { ref } = await get(keeper.make.remote("it", piece));
    process.kill(process.pid, "SIGKILL");
    return ref;
  },
);
