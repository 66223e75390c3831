// SPDX-License-Identifier: MIT
/**
 * Model checker: the shared memory of one scenario. It can be restored to any earlier state, and
 * records which threads accessed which words.
 */

/**
 *   one word (a "cell", named by the heap index of its value)
 *
 *   +0       value
 *   +1       RELEASED[n]      what an atomic read of this word learns: the writer's vector clock
 *   +1 + n   PLAIN_WRITE[n]   per thread: its own clock at its last access of each kind
 *   +1 + 2n  PLAIN_READ[n]
 *   +1 + 3n  ATOMIC_WRITE[n]
 *   +1 + 4n  ATOMIC_READ[n]
 *
 * A word of which a part was ever touched alone has a shadow for each of its four bytes besides:
 * PLAIN_WRITE[n], PLAIN_READ[n]. Accesses of the whole word are noted in the cell, those of a part
 * in the shadows; each kind looks at both.
 *
 * A word that an atomic access of less or more than the word has touched has, for each range of
 * bytes that such an access may have (its four bytes, its two halves, the eight bytes that it is
 * part of): RELEASED[n], ATOMIC_WRITE[n], ATOMIC_READ[n].
 *
 * Every change goes through {@link ModelMemory.put} or {@link ModelMemory.putClock}, which keep an
 * undo log. The first one also keeps a hash of all values. What clocks add to a state is computed
 * from their order (`clock-ranks.ts`).
 */
export class ModelMemory {
  readonly threadCount: number;
  /** Heap words of one cell. */
  readonly cellWords: number;
  heap: Int32Array = new Int32Array(1 << 12);
  used: number = CLOCK_CELL + 1;
  hashA = 0;
  hashB = 0;
  undoTop = 0;
  readonly regions: Region[] = [];
  /**
   * Per cell: threads that read it, wrote it; and {@link CELL_RACY}, {@link CELL_CONTENDED}. Never
   * undone.
   */
  readers: Uint16Array = new Uint16Array(1 << 12);
  writers: Uint16Array = new Uint16Array(1 << 12);
  flags: Uint8Array = new Uint8Array(1 << 12);
  /** Per cell: threads that touched it since setup, and kinds of accesses (`race-clocks.ts`). */
  touched: Int32Array = new Int32Array(1 << 12);
  #undoIndex = new Int32Array(1 << 12);
  #undoValue = new Int32Array(1 << 12);
  readonly #regionOf = new WeakMap<object, Region>();
  readonly #shadows = new Map<number, number>();
  readonly #parts = new Map<number, number>();

  constructor(threadCount: number) {
    this.threadCount = threadCount;
    this.cellWords = 1 + 5 * threadCount;
  }

  /**
   * Gives a block of shared memory its cells. `size`: how many of its bytes are there now, if it
   * grows; its length then has a cell after those of its words.
   */
  addRegion(block: SharedArrayBuffer, byteLength: number, size = -1): Region {
    const wordCount = Math.ceil(byteLength / 4);
    const grows = size >= 0;
    const firstCell = this.#allocate((wordCount + (grows ? 1 : 0)) * this.cellWords);
    const lengthCell = grows ? firstCell + wordCount * this.cellWords : NO_CELL;
    if (grows) {
      this.flags[lengthCell] |= CELL_RACY;
      this.put(lengthCell, size);
    }
    const ordinal = this.regions.length;
    const region: Region = { ordinal, block, byteLength, firstCell, lengthCell };
    this.regions.push(region);
    this.#regionOf.set(block, region);
    return region;
  }

  regionOf(block: object): Region | undefined {
    return this.#regionOf.get(block);
  }

  /** The word that a byte of a region belongs to. */
  cellOfByte(region: Region, offset: number): number {
    return region.firstCell + (offset >> 2) * this.cellWords;
  }

  /** The shadow of a cell's first byte; the others follow. All are made at the first use. */
  shadowsOf(cell: number): number {
    const known = this.#shadows.get(cell);
    if (known !== undefined) return known;
    const made = this.#allocate(8 * this.threadCount);
    this.#shadows.set(cell, made);
    this.flags[cell] |= CELL_BYTES;
    return made;
  }

  /** What atomic accesses of the parts of a cell leave; made at the first use. */
  partsOf(cell: number): number {
    const known = this.#parts.get(cell);
    if (known !== undefined) return known;
    const made = this.#allocate(7 * 3 * this.threadCount);
    this.#parts.set(cell, made);
    this.flags[cell] |= CELL_PARTS;
    return made;
  }

  put(index: number, value: number): void {
    const old = this.heap[index];
    if (old === value) return;
    this.putClock(index, value);
    this.hashA ^= mixA(index, old) ^ mixA(index, value);
    this.hashB ^= mixB(index, old) ^ mixB(index, value);
  }

  /** Writes a number of a vector clock, which does not count as it is. */
  putClock(index: number, value: number): void {
    const heap = this.heap;
    const old = heap[index];
    if (old === value) return;
    let top = this.undoTop;
    if (top === this.#undoIndex.length) this.#growUndo();
    this.#undoIndex[top] = index;
    this.#undoValue[top++] = old;
    this.undoTop = top;
    heap[index] = value;
  }

  /**
   * Takes every change back that was made since the undo log had `mark` entries. The caller
   * restores the hashes.
   */
  undoTo(mark: number): void {
    const heap = this.heap;
    const index = this.#undoIndex;
    const value = this.#undoValue;
    for (let top = this.undoTop - 1; top >= mark; top--) heap[index[top]] = value[top];
    this.undoTop = mark;
  }

  /** From here on, this moment is the one that {@link undoTo}(0) returns to. */
  freeze(): void {
    this.undoTop = 0;
    this.hashA = 0;
    this.hashB = 0;
  }

  /** Which region and word a cell is; {@link LENGTH_WORD}: its length. */
  locate(cell: number): { region: Region; word: number } | undefined {
    for (const region of this.regions) {
      if (cell === region.lengthCell) return { region, word: LENGTH_WORD };
      const word = (cell - region.firstCell) / this.cellWords;
      if (word >= 0 && word < Math.ceil(region.byteLength / 4)) return { region, word };
    }
    return undefined;
  }

  /** Words for the checker's own use, undone and hashed like all others. */
  reserve(words: number): number {
    return this.#allocate(words);
  }

  copy(): MemoryCopy {
    const { used, undoTop, hashA, hashB } = this;
    return {
      used,
      undoTop,
      hashA,
      hashB,
      heap: this.heap.slice(0, used),
      readers: this.readers.slice(0, used),
      writers: this.writers.slice(0, used),
      flags: this.flags.slice(0, used),
      touched: this.touched.slice(0, used),
      undoIndex: this.#undoIndex.slice(0, undoTop),
      undoValue: this.#undoValue.slice(0, undoTop),
      shadows: [...this.#shadows],
      parts: [...this.#parts],
    };
  }

  load(copy: MemoryCopy): void {
    this.#allocate(Math.max(0, copy.used - this.used));
    while (this.#undoIndex.length < copy.undoTop) this.#growUndo();
    for (const key of ['heap', 'readers', 'writers', 'flags', 'touched'] as const) {
      this[key].set(copy[key]);
    }
    this.#undoIndex.set(copy.undoIndex);
    this.#undoValue.set(copy.undoValue);
    this.undoTop = copy.undoTop;
    this.hashA = copy.hashA;
    this.hashB = copy.hashB;
    for (const [cell, first] of copy.shadows) this.#shadows.set(cell, first);
    for (const [cell, first] of copy.parts) this.#parts.set(cell, first);
  }

  #allocate(words: number): number {
    const first = this.used;
    this.used += words;
    if (this.used > this.heap.length) {
      // A quarter more than now: most scenarios have one large block, and small ones after it.
      const size = Math.max((this.used * 5) >> 2, this.heap.length * 2);
      this.heap = grown(this.heap, new Int32Array(size));
      this.readers = grown(this.readers, new Uint16Array(size));
      this.writers = grown(this.writers, new Uint16Array(size));
      this.flags = grown(this.flags, new Uint8Array(size));
      this.touched = grown(this.touched, new Int32Array(size));
    }
    return first;
  }

  #growUndo(): void {
    const size = this.#undoIndex.length * 2;
    this.#undoIndex = grown(this.#undoIndex, new Int32Array(size));
    this.#undoValue = grown(this.#undoValue, new Int32Array(size));
  }
}

/** Everything that a checkpoint keeps of the memory. */
export interface MemoryCopy {
  readonly used: number;
  readonly undoTop: number;
  readonly hashA: number;
  readonly hashB: number;
  readonly heap: Int32Array;
  readonly readers: Uint16Array;
  readonly writers: Uint16Array;
  readonly flags: Uint8Array;
  readonly touched: Int32Array;
  readonly undoIndex: Int32Array;
  readonly undoValue: Int32Array;
  readonly shadows: readonly (readonly [number, number])[];
  readonly parts: readonly (readonly [number, number])[];
}

/** One SharedArrayBuffer of the scenario. */
export interface Region {
  /** 0 for the first that setup made, and so on. */
  readonly ordinal: number;
  readonly block: SharedArrayBuffer;
  /** All that it may have, if it grows. */
  readonly byteLength: number;
  readonly firstCell: number;
  /** The bytes that it has now; {@link NO_CELL} if it does not grow. */
  readonly lengthCell: number;
}

export const NO_CELL = -1;
export const LENGTH_WORD = -1;

/** A cell that is never written: what a thread reads that looks at the clock and sees no change. */
export const CLOCK_CELL = 0;

/** Declared by the scenario: plain accesses may race here; they are scheduled like atomic ones. */
export const CELL_RACY = 1;
/** At least two threads touch it and at least one writes it: accesses are scheduling points. */
export const CELL_CONTENDED = 2;
/** A part of it was touched alone: its bytes have shadows. */
export const CELL_BYTES = 4;
/** The checker's own: a thread that reads it learns nothing of what its writer did before. */
export const CELL_SILENT = 8;
/** An atomic access has touched a part of it, or more than it: there are clocks for those. */
export const CELL_PARTS = 16;

function grown<T extends Int32Array | Uint16Array | Uint8Array>(old: T, fresh: T): T {
  fresh.set(old);
  return fresh;
}

/** Two independent hashes of an index and its value; the state key is 64 bits. */
export function mixA(index: number, value: number): number {
  let x = Math.imul(index ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(value ^ 0x7f4a7c15, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return x ^ (x >>> 15);
}

export function mixB(index: number, value: number): number {
  let x = Math.imul(index + 0x165667b1, 0x27d4eb2f) + Math.imul(value ^ 0x1b873593, 0x9e3779b1);
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}
