// SPDX-License-Identifier: MIT
/**
 * Model checker: who learns what from whom (vector clocks), and which plain accesses nothing orders
 * (data races).
 *
 * JavaScript's rule: an atomic read that reads an atomic write *synchronizes with* it. A plain
 * store in between cuts the chain, a read-modify-write carries it on, a blind atomic store replaces
 * it. A wait begins with an atomic read; a woken sync waiter learns from the notifier. Nothing else
 * about wait and notify is taken as an ordering (the specification gives more).
 */

import type { StateLayout } from './machine-layout.ts';
import { CELL_BYTES, CELL_PARTS, type ModelMemory } from './memory.ts';

/** Bytes of each range that an atomic access may have besides the whole word. */
const RANGES = [0b1, 0b10, 0b100, 0b1000, 0b11, 0b1100, 0b1111] as const;
const WHOLE = 0b1111;
/** The eight bytes that the word is part of. */
export const LONG_RANGE = 6;
const NO_RANGE = -1;

/** The range of an aligned access of one byte or two. */
export function rangeOf(offset: number, size: 1 | 2): number {
  return size === 1 ? offset & 3 : 4 + ((offset >> 1) & 1);
}

/** The bits of the bytes `[begin, end)`. */
function bytesMask(begin: number, end: number): number {
  return ((1 << end) - 1) & ~((1 << begin) - 1);
}

export class RaceClocks {
  readonly #memory: ModelMemory;
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  readonly #n: number;

  constructor(memory: ModelMemory, state: Int32Array, layout: StateLayout) {
    this.#memory = memory;
    this.#state = state;
    this.#layout = layout;
    this.#n = layout.threadCount;
  }

  /** Every thread starts after setup and before anything of the others. */
  begin(): void {
    for (let thread = 0; thread < this.#n; thread++) {
      this.#state[this.#layout.clock(thread) + thread] = 1;
    }
  }

  /** These return the thread whose earlier access nothing orders before this one, or −1. */
  plainRead(thread: number, cell: number): number {
    const n = this.#n;
    let other = this.#unordered(thread, cell + 1 + n, cell + 1 + 3 * n);
    if (other < 0) other = this.#unorderedParts(thread, cell, false);
    this.#stamp(thread, cell + 1 + 2 * n);
    return other;
  }

  plainWrite(thread: number, cell: number): number {
    const n = this.#n;
    let other = this.#unorderedWhole(thread, cell);
    if (other < 0) other = this.#unorderedParts(thread, cell, true);
    this.#stamp(thread, cell + 1 + n);
    return other;
  }

  atomicRead(thread: number, cell: number): number {
    const n = this.#n;
    let other = this.#unordered(thread, cell + 1 + n, cell + 1 + n);
    if (other < 0) other = this.#unorderedParts(thread, cell, false);
    this.#stamp(thread, cell + 1 + 4 * n);
    return other;
  }

  atomicWrite(thread: number, cell: number): number {
    const n = this.#n;
    let other = this.#unordered(thread, cell + 1 + n, cell + 1 + 2 * n);
    if (other < 0) other = this.#unorderedParts(thread, cell, true);
    this.#stamp(thread, cell + 1 + 3 * n);
    return other;
  }

  /** Bytes `[begin, end)` of a word are read alone. */
  bytesRead(thread: number, cell: number, begin: number, end: number): number {
    const n = this.#n;
    const shadows = this.#memory.shadowsOf(cell);
    let other = this.#unordered(thread, cell + 1 + n, cell + 1 + 3 * n);
    for (let byte = begin; byte < end; byte++) {
      const shadow = shadows + byte * 2 * n;
      if (other < 0) other = this.#unordered(thread, shadow, shadow);
      this.#stamp(thread, shadow + n);
    }
    if (other < 0) other = this.#unorderedRanges(thread, cell, bytesMask(begin, end), false);
    return other;
  }

  bytesWrite(thread: number, cell: number, begin: number, end: number): number {
    const n = this.#n;
    const shadows = this.#memory.shadowsOf(cell);
    let other = this.#unorderedWhole(thread, cell);
    for (let byte = begin; byte < end; byte++) {
      const shadow = shadows + byte * 2 * n;
      if (other < 0) other = this.#unordered(thread, shadow, shadow + n);
      this.#stamp(thread, shadow);
    }
    if (other < 0) other = this.#unorderedRanges(thread, cell, bytesMask(begin, end), true);
    return other;
  }

  /** A range of the word's bytes, or of more, is accessed atomically. */
  part(thread: number, cell: number, range: number, writes: boolean): number {
    const n = this.#n;
    const parts = this.#memory.partsOf(cell);
    let other = writes
      ? this.#unorderedWhole(thread, cell)
      : this.#unordered(thread, cell + 1 + n, cell + 1 + 3 * n);
    const mask = RANGES[range];
    if (other < 0) other = this.#unorderedBytes(thread, cell, mask, writes);
    if (other < 0) other = this.#unorderedRanges(thread, cell, mask, writes, range);
    this.#stamp(thread, parts + (3 * range + (writes ? 1 : 2)) * n);
    return other;
  }

  acquirePart(thread: number, cell: number, range: number): void {
    this.learn(thread, this.#memory.partsOf(cell) + 3 * range * this.#n);
  }

  releasePart(thread: number, cell: number, range: number): void {
    const released = this.#memory.partsOf(cell) + 3 * range * this.#n;
    this.#forgetRanges(cell, RANGES[range], range);
    const clock = this.#layout.clock(thread);
    for (let u = 0; u < this.#n; u++) this.#memory.put(released + u, this.#state[clock + u]);
    this.tick(thread);
  }

  /** A plain store to some bytes of a word: who reads them all learns nothing. */
  forgetBytes(cell: number, begin: number, end: number): void {
    if (end - begin === 4) this.forget(cell);
    else this.#forgetRanges(cell, bytesMask(begin, end), NO_RANGE);
  }

  /** All ranges within these bytes were written, if not as `kept`. */
  #forgetRanges(cell: number, mask: number, kept: number): void {
    if ((this.#memory.flags[cell] & CELL_PARTS) === 0) return;
    const parts = this.#memory.partsOf(cell);
    for (let range = 0; range < RANGES.length; range++) {
      if (range === kept || (RANGES[range] & ~mask) !== 0) continue;
      for (let u = 0; u < this.#n; u++) this.#memory.put(parts + 3 * range * this.#n + u, 0);
    }
  }

  /** The thread has read what the word's last atomic writer released. */
  acquire(thread: number, cell: number): void {
    this.learn(thread, cell + 1);
  }

  /** The thread learns a clock that stands in the memory. */
  learn(thread: number, at: number): void {
    const heap = this.#memory.heap;
    const state = this.#state;
    const clock = this.#layout.clock(thread);
    for (let u = 0; u < this.#n; u++) {
      const released = heap[at + u];
      if (released > state[clock + u]) state[clock + u] = released;
    }
  }

  /** The thread has written the word: whoever reads it atomically learns everything before. */
  release(thread: number, cell: number): void {
    const clock = this.#layout.clock(thread);
    for (let u = 0; u < this.#n; u++) this.#memory.put(cell + 1 + u, this.#state[clock + u]);
    this.#forgetRanges(cell, WHOLE, NO_RANGE);
    this.tick(thread);
  }

  /** What the thread does from here on, nobody knows who has learned its clock before. */
  tick(thread: number): void {
    this.#state[this.#layout.clock(thread) + thread]++;
  }

  /** A plain store to an atomic word: who reads it learns nothing. */
  forget(cell: number): void {
    for (let u = 0; u < this.#n; u++) this.#memory.put(cell + 1 + u, 0);
    this.#forgetRanges(cell, WHOLE, NO_RANGE);
  }

  /**
   * `learner` knows everything that `source` has done: it was woken by it, or supervises its death.
   */
  join(learner: number, source: number): void {
    const state = this.#state;
    const from = this.#layout.clock(source);
    const into = this.#layout.clock(learner);
    for (let u = 0; u < this.#n; u++) {
      if (state[from + u] > state[into + u]) state[into + u] = state[from + u];
    }
    state[from + source]++;
  }

  /** Any access of the whole word. */
  #unorderedWhole(thread: number, cell: number): number {
    const n = this.#n;
    const plain = this.#unordered(thread, cell + 1 + n, cell + 1 + 2 * n);
    return plain >= 0 ? plain : this.#unordered(thread, cell + 1 + 3 * n, cell + 1 + 4 * n);
  }

  /** Writes of parts of the word, and reads, too, if it is `written` now. */
  #unorderedParts(thread: number, cell: number, written: boolean): number {
    if ((this.#memory.flags[cell] & (CELL_BYTES | CELL_PARTS)) === 0) return -1;
    const other = this.#unorderedBytes(thread, cell, WHOLE, written);
    return other >= 0 ? other : this.#unorderedRanges(thread, cell, WHOLE, written);
  }

  /** Plain accesses of single bytes. */
  #unorderedBytes(thread: number, cell: number, mask: number, written: boolean): number {
    if ((this.#memory.flags[cell] & CELL_BYTES) === 0) return -1;
    const n = this.#n;
    const shadows = this.#memory.shadowsOf(cell);
    for (let byte = 0; byte < 4; byte++) {
      if ((mask & (1 << byte)) === 0) continue;
      const shadow = shadows + byte * 2 * n;
      const other = this.#unordered(thread, shadow, written ? shadow + n : shadow);
      if (other >= 0) return other;
    }
    return -1;
  }

  /** Atomic accesses of ranges that overlap these bytes, if they are not the `same` range. */
  #unorderedRanges(
    thread: number,
    cell: number,
    mask: number,
    written: boolean,
    same = NO_RANGE,
  ): number {
    if ((this.#memory.flags[cell] & CELL_PARTS) === 0) return -1;
    const n = this.#n;
    const parts = this.#memory.partsOf(cell);
    for (let range = 0; range < RANGES.length; range++) {
      if (range === same || (RANGES[range] & mask) === 0) continue;
      const writes = parts + (3 * range + 1) * n;
      const other = this.#unordered(thread, writes, written ? writes + n : writes);
      if (other >= 0) return other;
    }
    return -1;
  }

  #unordered(thread: number, first: number, second: number): number {
    const heap = this.#memory.heap;
    const state = this.#state;
    const clock = this.#layout.clock(thread);
    for (let u = 0; u < this.#n; u++) {
      if (u === thread) continue;
      const known = state[clock + u];
      if (heap[first + u] > known || heap[second + u] > known) return u;
    }
    return -1;
  }

  #stamp(thread: number, epochs: number): void {
    this.#memory.put(epochs + thread, this.#state[this.#layout.clock(thread) + thread]);
  }
}
