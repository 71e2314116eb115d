/** Readers of the objects that are neither plain nor arrays, by tag. The counterpart of kinds.ts. */
import { SerializationError } from "@stingray/protocol";
import { arrowFrom } from "./arrow.js";
import { setField, type Decoder } from "./decoder.js";
import { Tag, VIEW_KINDS, type ViewKind } from "./format.js";
import { registeredByName, wireType, type Registration } from "./registry.js";
import { readError } from "./revive-error.js";

/** A codec may also give a primitive: then nothing refers back to it. */
type Read = (decoder: Decoder) => unknown;
type ViewClass = {
  readonly BYTES_PER_ELEMENT?: number;
  new (buffer: ArrayBuffer, offset: number, length: number): object;
};

const READERS = new Map<number, Read>([
  [Tag.Map, readMap],
  [Tag.Set, readSet],
  [Tag.Date, (decoder) => decoder.made(new Date(decoder.float()))],
  [Tag.RegExp, readRegExp],
  [Tag.Boxed, readBoxed],
  [Tag.ArrayBuffer, readArrayBuffer],
  [Tag.View, readView],
  [Tag.Error, readError],
  [Tag.Instance, readInstance],
  [Tag.Coded, readCoded],
  [Tag.Wire, readWire],
  [Tag.Arrow, readArrow],
]);

/** @throws SerializationError for an unknown tag */
export function readSpecial(decoder: Decoder, tag: number): unknown {
  const read = READERS.get(tag);
  if (read === undefined) throw decoder.bad(`unknown tag 0x${tag.toString(16)}`);
  return read(decoder);
}

function readMap(decoder: Decoder): object {
  const map = decoder.made(new Map<unknown, unknown>());
  while (!decoder.atEnd()) {
    const key = decoder.value();
    map.set(key, decoder.value());
  }
  return map;
}

function readSet(decoder: Decoder): object {
  const set = decoder.made(new Set<unknown>());
  while (!decoder.atEnd()) set.add(decoder.value());
  return set;
}

function readRegExp(decoder: Decoder): object {
  const source = decoder.name();
  return decoder.made(new RegExp(source, decoder.name()));
}

function readBoxed(decoder: Decoder): object {
  const number = decoder.reserve();
  const value = decoder.value();
  if (typeof value === "object" || value === undefined) throw decoder.bad("a bad boxed value");
  return decoder.fulfil(number, new Object(value));
}

function readRegion(decoder: Decoder): number {
  const region = decoder.uint32();
  if (decoder.memory?.entry(region) === undefined) throw decoder.bad("an unknown region");
  return region;
}

function readArrayBuffer(decoder: Decoder): object {
  const { buffer, base } = decoder.memory!.place(readRegion(decoder));
  if (base !== 0) throw decoder.bad("a region that is no buffer");
  return decoder.made(buffer);
}

function readView(decoder: Decoder): object {
  const kind = VIEW_KINDS[decoder.byte()];
  if (kind === undefined) throw decoder.bad("an unknown kind of view");
  const region = readRegion(decoder);
  const offset = decoder.length();
  const length = decoder.length();
  const memory = decoder.memory!;
  if (offset + length > memory.entry(region)!.length) throw decoder.bad("a view beyond its region");
  const { buffer, base } = memory.place(region);
  return decoder.made(viewOf(decoder, kind, buffer, base + offset, length));
}

function viewOf(
  decoder: Decoder,
  kind: ViewKind,
  buffer: ArrayBuffer,
  offset: number,
  length: number,
): object {
  if (kind === "Buffer") return Buffer.from(buffer, offset, length);
  const cls = (globalThis as unknown as Record<ViewKind, ViewClass | undefined>)[kind];
  if (cls === undefined) {
    throw new SerializationError(`this process has no ${kind}: run the same version of Node everywhere`);
  }
  const unit = cls.BYTES_PER_ELEMENT ?? 1;
  if (length % unit !== 0 || offset % unit !== 0) throw decoder.bad(`a misaligned ${kind}`);
  return new cls(buffer, offset, length / unit);
}

function readArrow(decoder: Decoder): object {
  const kind = decoder.byte();
  const region = readRegion(decoder);
  const { buffer, base } = decoder.memory!.place(region);
  const value =
    kind > 2
      ? undefined
      : arrowFrom(new Uint8Array(buffer, base, decoder.memory!.entry(region)!.length), kind);
  if (typeof value !== "object" || value === null) throw decoder.bad("bad Arrow data");
  return decoder.made(value);
}

function registered(name: string): Registration {
  const registration = registeredByName(name);
  if (registration === undefined) {
    throw new SerializationError(
      `the value has an instance of class ${name}, which this process does not know: call registerSerializer(${name}) in a module that the receiver imports too`,
      { detail: { class: name } },
    );
  }
  return registration;
}

function readInstance(decoder: Decoder): object {
  const { prototype } = registered(decoder.name());
  return decoder.fieldsInto(decoder.made(Object.create(prototype) as object));
}

function readCoded(decoder: Decoder): unknown {
  const { name, prototype, decode } = registered(decoder.name());
  const number = decoder.reserve();
  const data = decoder.value();
  if (decode !== undefined) {
    return decoder.fulfil(
      number,
      guarded(() => decode(data), `decode() of class ${name}`),
    );
  }
  const value = Object.create(prototype) as object;
  for (const [key, field] of Object.entries(Object(data) as object)) setField(value, key, field);
  return decoder.fulfil(number, value);
}

function readWire(decoder: Decoder): unknown {
  const tag = decoder.name();
  const revive = wireType(tag);
  if (revive === undefined) {
    throw new SerializationError(
      `the value has a "${tag}", which this process does not know: run the same version of stingray everywhere`,
    );
  }
  const number = decoder.reserve();
  const data = decoder.value();
  return decoder.fulfil(
    number,
    guarded(() => revive(data, decoder.context), `reviving a "${tag}"`),
  );
}

function guarded(run: () => unknown, what: string): unknown {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof SerializationError) throw cause;
    const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    throw new SerializationError(`${what} threw ${text}`, { cause });
  }
}
