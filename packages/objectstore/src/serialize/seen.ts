/** The objects met so far, numbered in order. Few are the rule, and then looking through a list is fastest. */
const FEW = 8;

export class SeenObjects {
  private readonly few: object[] = [];
  private many: Map<object, number> | undefined;

  get count(): number {
    return this.many?.size ?? this.few.length;
  }

  /** The number of an object seen before; -1 for a new one, which gets the next number. */
  numberOf(object: object): number {
    const many = this.many;
    if (many !== undefined) {
      const number = many.get(object);
      if (number !== undefined) return number;
      many.set(object, many.size);
      return -1;
    }
    const few = this.few;
    for (let i = 0; i < few.length; i++) if (few[i] === object) return i;
    few.push(object);
    if (few.length > FEW) {
      this.many = new Map();
      for (let i = 0; i < few.length; i++) this.many.set(few[i] as object, i);
    }
    return -1;
  }

  /** Forgets the objects with numbers from `count` on. */
  truncate(count: number): void {
    if (this.many === undefined) this.few.length = count;
    else {
      // Ascending order of insertion: what goes is at the end.
      for (const [object, number] of this.many) if (number >= count) this.many.delete(object);
    }
  }

  clear(): void {
    this.few.length = 0;
    this.many = undefined;
  }
}
