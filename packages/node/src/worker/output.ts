/** Marks what user code prints with the name of the task that prints it, for the agent's log capture. */
import { currentExecution } from "@stingray/task/internal";
import { NAME_MARKER } from "../logs/lines.js";

/** Puts a mark before output whenever the name has changed since the last output of that stream. */
export function markOutput(stream: NodeJS.WriteStream): void {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  let named = "";
  let atLineStart = true;
  stream.write = (chunk: unknown, ...rest: unknown[]): boolean => {
    const name = currentExecution()?.name ?? named;
    if (name !== named) {
      named = name;
      write(`${atLineStart ? "" : "\n"}${NAME_MARKER}${name}\n`);
    }
    if (typeof chunk === "string") atLineStart = chunk.endsWith("\n");
    else if (chunk instanceof Uint8Array) atLineStart = chunk.at(-1) === 0x0a;
    return write(chunk, ...rest);
  };
}
