/** The rows that this process has just written, for when they come back by a watch: they need not be decoded then. */

/** More are only under way where watches lag; what is forgotten is decoded. */
const REMEMBERED = 50_000;
/** CBOR: an array of three items, the first of them 1; then the id as a text. */
const ARRAY_OF_3 = 0x83;
const VERSION_1 = 0x01;
const TEXT = 0x60;
const TEXT_WITH_LENGTH = 0x78;

export class OwnWrites<T> {
  private readonly values = new Map<string, T>();

  note(write: string, value: T): void {
    if (this.values.size >= REMEMBERED) this.values.clear();
    this.values.set(write, value);
  }

  /** The write came to nothing. */
  drop(write: string): void {
    this.values.delete(write);
  }

  /** The value that was written with these bytes by this process; given once. */
  take(bytes: Uint8Array): T | undefined {
    if (this.values.size === 0) return undefined;
    const write = writeOf(bytes);
    if (write === undefined) return undefined;
    const value = this.values.get(write);
    if (value !== undefined) this.values.delete(write);
    return value;
  }
}

function writeOf(bytes: Uint8Array): string | undefined {
  if (bytes[0] !== ARRAY_OF_3 || bytes[1] !== VERSION_1) return undefined;
  const head = bytes[2] ?? 0;
  const [at, length] =
    head === TEXT_WITH_LENGTH
      ? [4, bytes[3] ?? 0]
      : head >= TEXT && head < TEXT_WITH_LENGTH
        ? [3, head - TEXT]
        : [0, 0];
  return at === 0 ? undefined : Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString("latin1");
}
