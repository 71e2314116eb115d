/** The encoded value of an object as a reader has it. */
export interface StoredBytes {
  /**
   * The value, without the header of its file. The reader's own: writing into it is seen by nobody else. The memory
   * stays valid while any view on it lives, also after the object was freed.
   */
  readonly bytes: Uint8Array;
  /**
   * An ArrayBuffer that is exactly this part of the value, without copying. It may outlive `bytes`.
   * Absent where the value was copied.
   * @throws RangeError for a part that is not in the value
   */
  readonly sub?: (offset: number, length: number) => ArrayBuffer;
}
