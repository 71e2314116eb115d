/** A data port that knows the key and then does as it likes. */
import { createServer, type AddressInfo, type Server } from "node:net";
import { newSecret, type DataAddress } from "@stingray/protocol";
import { Kind, type Frame } from "../../../src/transfer/frame.js";
import { Doorkeeper } from "../../../src/transfer/handshake.js";
import { Wire } from "../../../src/transfer/wire.js";

export type Answers = (wire: Wire, frame: Frame) => void;

export class Liar {
  readonly address: DataAddress;
  readonly #server: Server;
  readonly #wires = new Set<Wire>();

  private constructor(server: Server, address: DataAddress) {
    this.#server = server;
    this.address = address;
  }

  /** `answers` is asked for every frame but those of the handshake. */
  static async listen(answers: Answers): Promise<Liar> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const liar = new Liar(server, { hosts: ["127.0.0.1"], port, key: newSecret() });
    server.on("connection", (socket) => {
      const door = new Doorkeeper(liar.address.key);
      let proven = false;
      const wire: Wire = Wire.accepted(socket, {
        room: (frame) => new Uint8Array(frame.length),
        take: (frame, body) => {
          if (proven) answers(wire, frame);
          else proven = door.take(wire, frame, body) !== undefined;
        },
        closed: () => liar.#wires.delete(wire),
      });
      liar.#wires.add(wire);
    });
    return liar;
  }

  async close(): Promise<void> {
    for (const wire of this.#wires) wire.destroy(new Error("the test is over"));
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Says that it has the whole object of so many bytes, whatever is opened. */
export function hereIs(wire: Wire, frame: Frame, size: number): void {
  const body = Buffer.alloc(9);
  body.writeDoubleLE(size, 0);
  wire.send(Kind.Here, frame.channel, 0, 0, body);
}
