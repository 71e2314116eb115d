/** The other process of the TCP stream: sends the same random bytes for each byte that it is sent. */
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { randomData } from "../data.js";

const CHUNK_BYTES = 2 ** 20;

function send(socket: Socket, data: Uint8Array): void {
  let at = 0;
  const more = (): void => {
    while (at < data.length) {
      const chunk = data.subarray(at, (at += CHUNK_BYTES));
      if (!socket.write(chunk)) {
        socket.once("drain", more);
        return;
      }
    }
  };
  more();
}

process.once("disconnect", () => process.exit(0));
process.once("message", (bytes: number) => {
  const data = randomData(bytes);
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", () => send(socket, data));
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    process.send?.(typeof address === "object" ? address?.port : undefined);
  });
});
