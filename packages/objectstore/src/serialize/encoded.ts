/** An encoded value: a head with the tree, and the large buffers, still where they were. */
import { InvalidArgumentError } from "@stingray/protocol";

export interface Encoded {
  /** Bytes in all. */
  readonly size: number;
  /** Ids of the objects that references inside the value refer to, each once. */
  readonly refs: readonly string[];
  /** The pieces that make up the value when put one behind the other. Large ones are the source's own memory. */
  readonly parts: readonly Uint8Array[];
  /** Everything in one array. Do not write into it. */
  bytes(): Uint8Array;
  /**
   * Copies everything into the beginning of `target`, large buffers straight from their source.
   * @throws InvalidArgumentError if `target` is smaller than `size`
   */
  writeTo(target: Uint8Array): void;
}

/** One piece: what almost every small value is. */
export class EncodedBytes implements Encoded {
  constructor(
    private readonly head: Uint8Array,
    readonly refs: readonly string[],
  ) {}
  get size(): number {
    return this.head.length;
  }
  get parts(): readonly Uint8Array[] {
    return [this.head];
  }
  bytes(): Uint8Array {
    return this.head;
  }
  writeTo(target: Uint8Array): void {
    checkRoom(this, target);
    target.set(this.head);
  }
}

export class EncodedParts implements Encoded {
  constructor(
    readonly parts: readonly Uint8Array[],
    readonly size: number,
    readonly refs: readonly string[],
  ) {}
  bytes(): Uint8Array {
    const all = new Uint8Array(this.size);
    this.writeTo(all);
    return all;
  }
  writeTo(target: Uint8Array): void {
    checkRoom(this, target);
    let at = 0;
    for (const part of this.parts) {
      target.set(part, at);
      at += part.length;
    }
  }
}

function checkRoom(encoded: Encoded, target: Uint8Array): void {
  if (target.length < encoded.size) {
    throw new InvalidArgumentError(
      `writeTo: the target has ${target.length} bytes, the value needs ${encoded.size}; pass a larger target`,
    );
  }
}
