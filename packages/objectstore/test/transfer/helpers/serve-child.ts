/** The other process of `speed.ts`: serves a stream of plain bytes, and one object on a data port. */
import { createServer, type AddressInfo } from "node:net";
import { newSecret } from "@stingray/protocol";
import { DataPort } from "../../../src/transfer/port.js";
import { fill, Memory, newObject, Target, whole } from "./memory.js";

const size = Number(process.argv[2]);
const memory = new Memory();
const bytes = fill(memory.room(size), 1);
const room = memory.room(size);
const object = newObject();
const port = await DataPort.listen({
  host: "127.0.0.1",
  key: newSecret(),
  open: async (asked) => (asked === object ? whole(bytes) : undefined),
  accept: async () => new Target(room),
});
const plain = createServer((socket) => {
  let at = 0;
  const more = (): void => {
    while (at < size) {
      const part = bytes.subarray(at, (at += 1 << 20));
      if (!socket.write(part)) return void socket.once("drain", more);
    }
    socket.end();
  };
  socket.on("error", () => {});
  more();
});
plain.listen(0, "127.0.0.1", () => {
  process.send?.({ address: port.address, object, plain: (plain.address() as AddressInfo).port });
});
process.on("disconnect", () => {
  memory[Symbol.dispose]();
  process.exit(0);
});
