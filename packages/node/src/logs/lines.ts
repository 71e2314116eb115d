/**
 * From bytes of a pipe to lines of text: characters split between chunks are put together, over-long lines are cut
 * into pieces so that memory stays bounded, and marker lines tell which task the lines after them belong to.
 */
import { StringDecoder } from "node:string_decoder";

/** What a worker writes, followed by a name and a line end, when it starts a task: the lines after it are that task's. */
export const NAME_MARKER = "\u0001stingray:name=";

/** Longest line handed on, in UTF-16 units; a longer one arrives as several. */
export const MAX_LINE = 16 * 1024;

/** Lines that belong together: written one after another under one name. */
export interface NamedLines {
  name: string;
  lines: string[];
}

/** Splits the bytes of one stream. Not a stream itself: feed it chunks, it returns what they completed. */
export class LineSplitter {
  private readonly decoder = new StringDecoder("utf8");
  private partial = "";

  /** @param name of the lines before the first marker. Default: empty */
  constructor(private name = "") {}

  /** The lines that this chunk completed, grouped by the name that they were written under, in order. */
  push(chunk: Buffer): NamedLines[] {
    return this.take(this.decoder.write(chunk));
  }

  /** What is left when the stream has ended: a last line without a line end. */
  end(): NamedLines[] {
    const groups = this.take(this.decoder.end());
    if (this.partial !== "") this.line(this.partial, groups);
    this.partial = "";
    return groups;
  }

  private take(text: string): NamedLines[] {
    const groups: NamedLines[] = [];
    const pieces = text.split("\n");
    const rest = pieces.pop() ?? "";
    for (const piece of pieces) {
      this.line(this.partial + piece, groups);
      this.partial = "";
    }
    this.partial += rest;
    // Without this a stream that never ends a line would grow for ever.
    while (this.partial.length > MAX_LINE) {
      const cut = cutAt(this.partial, MAX_LINE);
      this.line(this.partial.slice(0, cut), groups);
      this.partial = this.partial.slice(cut);
    }
    return groups;
  }

  private line(text: string, groups: NamedLines[]): void {
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    const marker = line.indexOf(NAME_MARKER);
    if (marker === -1) {
      this.add(line, groups);
      return;
    }
    // Output without a line end may stand before the marker: it belongs to the name before.
    if (marker > 0) this.add(line.slice(0, marker), groups);
    this.name = line.slice(marker + NAME_MARKER.length);
  }

  private add(line: string, groups: NamedLines[]): void {
    let rest = line;
    do {
      const cut = cutAt(rest, MAX_LINE);
      const last = groups.at(-1);
      if (last?.name === this.name) last.lines.push(rest.slice(0, cut));
      else groups.push({ name: this.name, lines: [rest.slice(0, cut)] });
      rest = rest.slice(cut);
    } while (rest !== "");
  }
}

/** Where to cut so that at most `max` units come before and no surrogate pair is torn. */
function cutAt(text: string, max: number): number {
  if (text.length <= max) return text.length;
  const before = text.charCodeAt(max - 1);
  return before >= 0xd800 && before <= 0xdbff ? max - 1 : max;
}
