// SPDX-License-Identifier: MIT
/**
 * Model checker: the writes of each racy word that are still visible, and which of them a read may
 * return under ECMAScript's memory model.
 *
 * A schedule carries accesses out in an order that serves as the specification's *memory-order*;
 * vector clocks say what *happens before* what. All accesses here have the same range, one word.
 * Then a read R may return an earlier write W unless there is another write V such that
 *
 *   1. W happens before V and V before R;
 *   2. R and W are atomic, V is atomic and came after W (R would synchronize with W);
 *   3. W and V are atomic, V came after W, and both happen before R;
 *   4. R and V are atomic, and W happens before both of them.
 *
 * There are no other rules: plain reads of one word need not agree on an order of its writes.
 * Setup's value happens before everything.
 *
 *   one word's record in the model's memory, created on first use
 *
 *   COUNT     of writes
 *   READS[n]  per thread: reads that did not return the last write, since that was made
 *   writes    by plain stores, by thread, in a thread's order; then atomic ones, in memory-order;
 *             each: HEAD = thread, atomic; VALUE; POSITION in its thread's log; CLOCK[n] of its
 *             thread
 *
 * The order is canonical, so that interleavings that differ only in unrelated steps reach one
 * state. A write that no thread can read any more is dropped.
 */

import { KNOWLEDGE, STAMP } from './clock-ranks.ts';
import { ABSENT, DEAD, type StateLayout, T_LOG, T_STATUS } from './machine-layout.ts';
import type { ModelMemory } from './memory.ts';

/** Most writes kept for one word; a further one replaces the oldest plain one. */
export const HISTORY_MAX = 16;

const HEAD = 0;
const VALUE = 1;
const POSITION = 2;
const CLOCK = 3;
/** HEAD: thread << HEAD_SHIFT, and these. */
const USED = 1;
const ATOMIC = 2;
const HEAD_SHIFT = 2;

/** In place of a thread that reads: all threads have ended, and the read is plain. */
export const AFTER_ALL = -1;

export class WriteHistory {
  readonly #memory: ModelMemory;
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  readonly #n: number;
  readonly #entryWords: number;
  /** Offset of the first write in a record. */
  readonly #first: number;
  readonly #records = new Map<number, number>();
  /** The results of {@link find}: entries with different values. */
  readonly found: number[] = [];

  constructor(memory: ModelMemory, state: Int32Array, layout: StateLayout) {
    this.#memory = memory;
    this.#state = state;
    this.#layout = layout;
    this.#n = layout.threadCount;
    this.#entryWords = CLOCK + layout.threadCount;
    this.#first = 1 + layout.threadCount;
  }

  value(entry: number): number {
    return this.#memory.heap[entry + VALUE];
  }

  /** The thread that wrote; the number of threads stands for setup. */
  writer(entry: number): number {
    return this.#memory.heap[entry + HEAD] >> HEAD_SHIFT;
  }

  isAtomic(entry: number): boolean {
    return (this.#memory.heap[entry + HEAD] & ATOMIC) !== 0;
  }

  position(entry: number): number {
    return this.#memory.heap[entry + POSITION];
  }

  /** Position of the writer's clock. */
  clock(entry: number): number {
    return entry + CLOCK;
  }

  /** All words that threads have written. */
  get cells(): IterableIterator<number> {
    return this.#records.keys();
  }

  /** Number of writes kept for a word; 0 if only setup has written it. */
  count(cell: number): number {
    const record = this.#records.get(cell);
    return record === undefined ? 0 : this.#memory.heap[record];
  }

  entry(cell: number, i: number): number {
    return (this.#records.get(cell) as number) + this.#first + i * this.#entryWords;
  }

  /**
   * Records a write that the thread makes now; the word still holds its old value. True if this
   * replaced one that some thread could still read.
   */
  add(cell: number, thread: number, value: number, isAtomic: boolean): boolean {
    const memory = this.#memory;
    const record = this.#recordOf(cell);
    for (let u = 0; u < this.#n; u++) memory.put(record + 1 + u, 0);
    const setup = this.#n;
    if (memory.heap[record] === 0) {
      memory.put(record, 1);
      memory.put(record + this.#first + HEAD, (setup << HEAD_SHIFT) | USED);
      memory.put(record + this.#first + VALUE, memory.heap[cell]);
    }
    this.#insert(record, (thread << HEAD_SHIFT) | (isAtomic ? ATOMIC : 0) | USED, value);
    this.#dropHidden(record);
    if (memory.heap[record] <= HISTORY_MAX) return false;
    this.#drop(record, 0);
    return true;
  }

  #recordOf(cell: number): number {
    let record = this.#records.get(cell);
    if (record === undefined) {
      record = this.#memory.reserve(this.#first + (HISTORY_MAX + 2) * this.#entryWords);
      this.#records.set(cell, record);
    }
    return record;
  }

  /** Number of the thread's reads that did not return the last write, since that was made. */
  weakReads(cell: number, thread: number): number {
    const record = this.#records.get(cell);
    return record === undefined ? 0 : this.#memory.heap[record + 1 + thread];
  }

  noteWeakRead(cell: number, thread: number): void {
    const at = this.#recordOf(cell) + 1 + thread;
    this.#memory.put(at, this.#memory.heap[at] + 1);
  }

  #insert(record: number, head: number, value: number): void {
    const { heap } = this.#memory;
    const words = this.#entryWords;
    const thread = head >> HEAD_SHIFT;
    const count = heap[record];
    let at = record + this.#first + count * words;
    if ((head & ATOMIC) === 0) {
      for (let before = at - words; before > record + this.#n; before -= words, at -= words) {
        const other = heap[before + HEAD];
        const writer = other >> HEAD_SHIFT;
        if ((other & ATOMIC) === 0 && (writer <= thread || writer === this.#n)) break;
        this.#move(before, at);
      }
    }
    const memory = this.#memory;
    memory.put(record, count + 1);
    memory.put(at + HEAD, head);
    memory.put(at + VALUE, value);
    memory.put(at + POSITION, this.#state[this.#layout.thread(thread) + T_LOG]);
    const clock = this.#layout.clock(thread);
    for (let u = 0; u < this.#n; u++) memory.putClock(at + CLOCK + u, this.#state[clock + u]);
  }

  #move(from: number, to: number): void {
    const { heap } = this.#memory;
    for (let i = 0; i < this.#entryWords; i++) this.#put(to, i, heap[from + i]);
  }

  #drop(record: number, i: number): void {
    const words = this.#entryWords;
    const last = this.#memory.heap[record] - 1;
    for (let j = i; j < last; j++) {
      this.#move(record + this.#first + (j + 1) * words, record + this.#first + j * words);
    }
    for (let k = 0; k < words; k++) this.#put(record + this.#first + last * words, k, 0);
    this.#memory.put(record, last);
  }

  #put(entry: number, field: number, value: number): void {
    if (field < CLOCK) this.#memory.put(entry + field, value);
    else this.#memory.putClock(entry + field, value);
  }

  /** Every number of every write's clock: the writer's own one is a stamp, and can be learned. */
  eachClock(visit: (index: number, column: number, kind: number) => void): void {
    for (const cell of this.#records.keys()) {
      const count = this.count(cell);
      for (let i = 0; i < count; i++) {
        const entry = this.entry(cell, i);
        const writer = this.writer(entry);
        for (let u = 0; u < this.#n; u++) {
          visit(entry + CLOCK + u, u, u === writer ? STAMP | KNOWLEDGE : KNOWLEDGE);
        }
      }
    }
  }

  /**
   * Drops the writes that rule 1 hides from every thread. An atomic one also hides others by rules
   * 2 to 4, so it stays as long as an atomic one before it does, and the last one always.
   */
  #dropHidden(record: number): void {
    const { heap } = this.#memory;
    const words = this.#entryWords;
    let keepAtomic = false;
    for (let i = 0; i < heap[record]; ) {
      const entry = record + this.#first + i * words;
      const atomic = this.isAtomic(entry);
      const isLast = i === heap[record] - 1;
      if (!(atomic && (keepAtomic || isLast)) && this.#isHiddenFromAll(record, entry)) {
        this.#drop(record, i);
        continue;
      }
      if (atomic) keepAtomic = true;
      i++;
    }
  }

  #isHiddenFromAll(record: number, entry: number): boolean {
    const state = this.#state;
    for (let thread = 0; thread < this.#n; thread++) {
      const status = state[this.#layout.thread(thread) + T_STATUS];
      // A supervisor will know everything that its thread has done.
      if (status === DEAD || status === ABSENT) continue;
      if (!this.#isHidden(record, entry, thread)) return false;
    }
    return true;
  }

  /** Rule 1, for a read that the thread would make now. */
  #isHidden(record: number, entry: number, thread: number): boolean {
    const end = record + this.#first + this.#memory.heap[record] * this.#entryWords;
    for (let other = record + this.#first; other < end; other += this.#entryWords) {
      if (this.#knows(thread, other) && this.#isBefore(entry, other)) return true;
    }
    return false;
  }

  /** True if the write happens before what the thread does now. */
  #knows(thread: number, entry: number): boolean {
    const writer = this.writer(entry);
    if (writer === this.#n || writer === thread) return true;
    const known = this.#state[this.#layout.clock(thread) + writer];
    return known >= this.#memory.heap[entry + CLOCK + writer];
  }

  /** True if one write happens before another. */
  #isBefore(entry: number, other: number): boolean {
    const { heap } = this.#memory;
    const writer = this.writer(entry);
    if (writer === this.#n) return entry !== other;
    const second = this.writer(other);
    if (second === this.#n) return false;
    if (second === writer) return heap[entry + POSITION] < heap[other + POSITION];
    return heap[other + CLOCK + writer] >= heap[entry + CLOCK + writer];
  }

  /**
   * Fills `found` with the writes that the thread's read may return, beginning with the last one;
   * only one of several that a read cannot distinguish. Returns their number; 0 if only setup has
   * written the word. `thread` {@link AFTER_ALL}: all threads have ended.
   */
  find(cell: number, thread: number, isAtomic: boolean): number {
    const record = this.#records.get(cell);
    const { found } = this;
    const { heap } = this.#memory;
    found.length = 0;
    const count = record === undefined ? 0 : heap[record];
    if (record === undefined || count === 0) return 0;
    const words = this.#entryWords;
    for (let i = count - 1; i >= 0; i--) {
      const entry = record + this.#first + i * words;
      const isAllowed =
        thread === AFTER_ALL
          ? this.#isLast(record, i)
          : this.#isAllowed(record, i, thread, isAtomic);
      if (isAllowed) this.#offer(entry, isAtomic);
    }
    this.#newestFirst(cell);
    return found.length;
  }

  #newestFirst(cell: number): void {
    const { found } = this;
    const value = this.#memory.heap[cell];
    const newest = found.findIndex((entry) => this.value(entry) === value);
    if (newest > 0) found.unshift(...found.splice(newest, 1));
  }

  #offer(entry: number, isAtomic: boolean): void {
    const value = this.value(entry);
    for (const other of this.found) {
      const sameOrder = !isAtomic || this.isAtomic(other) === this.isAtomic(entry);
      if (sameOrder && this.value(other) === value) return;
    }
    this.found.push(entry);
  }

  #isAllowed(record: number, i: number, thread: number, isAtomic: boolean): boolean {
    const { heap } = this.#memory;
    const words = this.#entryWords;
    const entry = record + this.#first + i * words;
    const count = heap[record];
    if (this.#isHidden(record, entry, thread)) return false;
    const wroteAtomic = this.isAtomic(entry);
    // Rule 2: all writes after an atomic one are atomic.
    if (isAtomic && wroteAtomic) return i === count - 1;
    if (!this.#knows(thread, entry)) return true;
    for (let j = 0; j < count; j++) {
      const other = record + this.#first + j * words;
      if (!this.isAtomic(other)) continue;
      if (wroteAtomic && j > i && this.#knows(thread, other)) return false;
      if (isAtomic && !wroteAtomic && this.#isBefore(entry, other)) return false;
    }
    return true;
  }

  /** A plain read after all threads have ended returns it. */
  #isLast(record: number, i: number): boolean {
    const words = this.#entryWords;
    const entry = record + this.#first + i * words;
    const count = this.#memory.heap[record];
    if (this.isAtomic(entry) && i < count - 1) return false;
    for (let j = 0; j < count; j++) {
      if (this.#isBefore(entry, record + this.#first + j * words)) return false;
    }
    return true;
  }
}
