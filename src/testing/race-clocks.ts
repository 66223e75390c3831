// SPDX-License-Identifier: MIT
/**
 * Model checker: happens-before by vector clocks, and data races: conflicting accesses that it does
 * not order.
 *
 * JavaScript's rule: an atomic read that reads an atomic write *synchronizes with* it. A plain
 * store in between cuts the chain, a read-modify-write carries it on, a blind atomic store replaces
 * it. A wait begins with an atomic read; a woken sync waiter learns from the notifier. Nothing else
 * about wait and notify is taken as an ordering (the specification gives more).
 */

import { type ClockRanks, KNOWLEDGE, STAMP } from './clock-ranks.ts';
import type { Contention } from './contention.ts';
import type { StateLayout } from './machine-layout.ts';
import { CELL_BYTES, CELL_PARTS, type ModelMemory } from './memory.ts';

/** Bytes of each range that an atomic access may touch apart from the whole word. */
const RANGES = [0b1, 0b10, 0b100, 0b1000, 0b11, 0b1100, 0b1111] as const;
const WHOLE = 0b1111;
/** The eight bytes that the word is part of. */
export const LONG_RANGE = 6;
const NO_RANGE = -1;

// Kinds of accesses that a word has seen since setup; the lower bits are the threads.
const PLAIN = 1 << 16;
const ATOMIC = 1 << 17;
const BYTES = 1 << 18;
const PARTS = 1 << 19;
const THREADS = PLAIN - 1;

/** The range of an aligned access of one byte or two. */
export function rangeOf(offset: number, size: 1 | 2): number {
  return size === 1 ? offset & 3 : 4 + ((offset >> 1) & 1);
}

/** The bits of the bytes `[begin, end)`. */
function bytesMask(begin: number, end: number): number {
  return ((1 << end) - 1) & ~((1 << begin) - 1);
}

/** True if several threads have touched the word. */
function isShared(touched: number): boolean {
  const threads = touched & THREADS;
  return (threads & (threads - 1)) !== 0;
}

/** True if the word has seen an access that is not an atomic one of the whole word. */
function isMixed(touched: number): boolean {
  return (touched & (PLAIN | BYTES | PARTS)) !== 0;
}

export class RaceClocks {
  readonly #memory: ModelMemory;
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  readonly #n: number;
  readonly #ranks: ClockRanks;
  readonly #contention: Contention;

  constructor(
    memory: ModelMemory,
    state: Int32Array,
    layout: StateLayout,
    ranks: ClockRanks,
    contention: Contention,
  ) {
    this.#ranks = ranks;
    this.#contention = contention;
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

  /** Before a thread's access of a word, of this kind. */
  #touch(thread: number, cell: number, kind: number): void {
    const { touched } = this.#memory;
    const before = touched[cell];
    const after = before | (1 << thread) | kind;
    if (after === before) return;
    touched[cell] = after;
    if (!isShared(after)) return;
    const n = this.#n;
    const ranks = this.#ranks;
    ranks.add(cell + 1, KNOWLEDGE);
    // Of accesses that are all atomic and of the whole word, no stamp is ever compared.
    if (isMixed(after)) {
      if ((after & PLAIN) !== 0) for (const at of [1, 2]) ranks.add(cell + 1 + at * n, STAMP);
      if ((after & ATOMIC) !== 0) for (const at of [3, 4]) ranks.add(cell + 1 + at * n, STAMP);
      if ((after & BYTES) !== 0) {
        const shadows = this.#memory.shadowsOf(cell);
        for (let i = 0; i < 8; i++) ranks.add(shadows + i * n, STAMP);
      }
      if ((after & PARTS) !== 0) {
        const parts = this.#memory.partsOf(cell);
        for (let i = 0; i < 3 * RANGES.length; i++) {
          ranks.add(parts + i * n, i % 3 === 0 ? KNOWLEDGE : STAMP);
        }
      }
    }
    // States were taken for equal whose clocks at this word differ, and that matters now.
    const mattered = isShared(before) && (isMixed(before) || (before & ATOMIC) === 0);
    if (!mattered && (isMixed(after) || !isShared(before))) this.#contention.grew = true;
  }

  /** These return the thread whose earlier access nothing orders before this one, or −1. */
  plainRead(thread: number, cell: number): number {
    this.#touch(thread, cell, PLAIN);
    const n = this.#n;
    let other = this.#unordered(thread, cell + 1 + n, cell + 1 + 3 * n);
    if (other < 0) other = this.#unorderedParts(thread, cell, false);
    this.#stamp(thread, cell + 1 + 2 * n);
    return other;
  }

  plainWrite(thread: number, cell: number): number {
    this.#touch(thread, cell, PLAIN);
    const n = this.#n;
    let other = this.#unorderedWhole(thread, cell);
    if (other < 0) other = this.#unorderedParts(thread, cell, true);
    this.#stamp(thread, cell + 1 + n);
    return other;
  }

  atomicRead(thread: number, cell: number): number {
    this.#touch(thread, cell, ATOMIC);
    const n = this.#n;
    let other = this.#unordered(thread, cell + 1 + n, cell + 1 + n);
    if (other < 0) other = this.#unorderedParts(thread, cell, false);
    this.#stamp(thread, cell + 1 + 4 * n);
    return other;
  }

  atomicWrite(thread: number, cell: number): number {
    this.#touch(thread, cell, ATOMIC);
    const n = this.#n;
    let other = this.#unordered(thread, cell + 1 + n, cell + 1 + 2 * n);
    if (other < 0) other = this.#unorderedParts(thread, cell, true);
    this.#stamp(thread, cell + 1 + 3 * n);
    return other;
  }

  /** Bytes `[begin, end)` of a word are read alone. */
  bytesRead(thread: number, cell: number, begin: number, end: number): number {
    this.#touch(thread, cell, BYTES);
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
    this.#touch(thread, cell, BYTES);
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
    this.#touch(thread, cell, PARTS);
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
    this.#touch(thread, cell, PARTS);
    this.learn(thread, this.#memory.partsOf(cell) + 3 * range * this.#n);
  }

  releasePart(thread: number, cell: number, range: number): void {
    this.#touch(thread, cell, PARTS);
    const released = this.#memory.partsOf(cell) + 3 * range * this.#n;
    this.#forgetRanges(cell, RANGES[range], range);
    const clock = this.#layout.clock(thread);
    for (let u = 0; u < this.#n; u++) this.#memory.putClock(released + u, this.#state[clock + u]);
    this.tick(thread);
  }

  /** A plain store to some bytes of a word: a thread that reads them all learns nothing. */
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
      for (let u = 0; u < this.#n; u++) this.#memory.putClock(parts + 3 * range * this.#n + u, 0);
    }
  }

  /** The thread has read what the word's last atomic writer released. */
  acquire(thread: number, cell: number): void {
    this.#touch(thread, cell, 0);
    this.learn(thread, cell + 1);
  }

  /** The thread learns a clock that is in the memory. */
  learn(thread: number, at: number): void {
    const heap = this.#memory.heap;
    const state = this.#state;
    const clock = this.#layout.clock(thread);
    for (let u = 0; u < this.#n; u++) {
      const released = heap[at + u];
      if (released > state[clock + u]) state[clock + u] = released;
    }
  }

  /** The thread has written the word: atomic reads of it learn everything before. */
  release(thread: number, cell: number): void {
    this.#touch(thread, cell, 0);
    const clock = this.#layout.clock(thread);
    for (let u = 0; u < this.#n; u++) this.#memory.putClock(cell + 1 + u, this.#state[clock + u]);
    this.#forgetRanges(cell, WHOLE, NO_RANGE);
    this.tick(thread);
  }

  /** Threads that have learned the clock so far do not know what the thread does from here on. */
  tick(thread: number): void {
    this.#state[this.#layout.clock(thread) + thread]++;
  }

  /** A plain store to an atomic word: a thread that reads it learns nothing. */
  forget(cell: number): void {
    for (let u = 0; u < this.#n; u++) this.#memory.putClock(cell + 1 + u, 0);
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
    this.#memory.putClock(epochs + thread, this.#state[this.#layout.clock(thread) + thread]);
  }
}
