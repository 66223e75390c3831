// SPDX-License-Identifier: MIT
/**
 * Model checker: accesses of less than a word, plain and atomic, and of two words at once.
 *
 * A plain access of several bytes is one access if no other thread can interfere unnoticed. An
 * atomic one of one or two bytes is one access of their word; one of eight bytes is logged as two,
 * of both words, without interruption in between.
 */

import { longAfter, operandsOf, valueAfter } from './atomic-values.ts';
import type { Machine } from './machine.ts';
import {
  OP_BYTES_LOAD,
  OP_BYTES_STORE,
  OP_COMPARE_EXCHANGE,
  OP_LOAD,
  OP_STORE,
} from './machine-layout.ts';
import { CELL_CONTENDED, type Region } from './memory.ts';
import { LONG_RANGE, rangeOf } from './race-clocks.ts';
import type { WeakMemory } from './weak-memory.ts';

/** The part of {@link SharedAccess} that accesses of bytes use. */
interface WordAccess {
  isRacy(cell: number): boolean;
  /** True if others may run between plain accesses of the word. */
  schedules(cell: number): boolean;
  /** Records the value of a plain read that may race. */
  readsLoosely(thread: number, cell: number, value: number): void;
  weakOf(cell: number): WeakMemory | undefined;
  /** Reports a race of this access with the last one of another thread. */
  race(other: number, op: number, cell: number, offset?: number): void;
}

export class ByteAccess {
  readonly #machine: Machine;
  readonly #shared: WordAccess;

  constructor(machine: Machine, shared: WordAccess) {
    this.#machine = machine;
    this.#shared = shared;
  }

  /**
   * Reads up to four bytes, little-endian. If others may run in between, byte by byte, unless they
   * are one `whole` element, which does not tear.
   */
  load(region: Region, offset: number, count: number, whole = false): number {
    const machine = this.#machine;
    if (machine.direct) return this.#peek(region, offset, count);
    if (count > 1 && !whole && this.#splits(region, offset, count)) {
      let value = 0;
      for (let i = 0; i < count; i++) value |= this.load(region, offset + i, 1) << (8 * i);
      return value;
    }
    const cell = machine.memory.cellOfByte(region, offset);
    const operands = operandsOf(offset, count);
    if (machine.replays(OP_BYTES_LOAD, cell, operands)) return machine.replayed;
    const schedules = this.#shared.schedules(cell);
    machine.arrive(OP_BYTES_LOAD, cell, schedules, false);
    const thread = machine.current;
    if (schedules) {
      this.#shared.readsLoosely(thread, cell, machine.memory.heap[cell]);
      if (this.#shared.isRacy(cell)) this.#isNeverStale(cell);
    } else this.#order(OP_BYTES_LOAD, region, offset, count);
    const value = this.#peek(region, offset, count);
    machine.append(OP_BYTES_LOAD, cell, operands, value);
    machine.recorder?.({ thread, op: OP_BYTES_LOAD, cell, a: offset, b: count, value });
    return value;
  }

  /** Writes `source[begin, begin + count)`. */
  store(
    region: Region,
    offset: number,
    source: ArrayLike<number>,
    begin: number,
    count: number,
    whole = false,
  ): void {
    const machine = this.#machine;
    if (count === 0) return;
    if (machine.direct) {
      this.#poke(region, offset, source, begin, count);
      return;
    }
    if (count > 1 && !whole && this.#splits(region, offset, count)) {
      for (let i = 0; i < count; i++) this.store(region, offset + i, source, begin + i, 1);
      return;
    }
    const cell = machine.memory.cellOfByte(region, offset);
    let operands = operandsOf(offset, count);
    for (let i = 0; i < count; i++) operands = operandsOf(operands, source[begin + i] & 0xff);
    if (machine.replays(OP_BYTES_STORE, cell, operands)) return;
    const schedules = this.#shared.schedules(cell);
    const isNew = count > 1 || this.#peek(region, offset, 1) !== (source[begin] & 0xff);
    machine.arrive(OP_BYTES_STORE, cell, schedules, isNew);
    const thread = machine.current;
    if (!schedules) this.#order(OP_BYTES_STORE, region, offset, count);
    const hashBefore = machine.memory.hashA;
    this.#poke(region, offset, source, begin, count);
    if (machine.memory.hashA !== hashBefore) {
      machine.spins.noteChange(thread);
      machine.changed();
    } else if (schedules) {
      machine.spins.noteRead(thread, cell, machine.memory.heap[cell]);
    }
    machine.append(OP_BYTES_STORE, cell, operands, 0);
    const value = source[begin];
    machine.recorder?.({ thread, op: OP_BYTES_STORE, cell, a: offset, b: count, value });
  }

  #splits(region: Region, offset: number, count: number): boolean {
    const { memory } = this.#machine;
    const last = memory.cellOfByte(region, offset + count - 1);
    for (let cell = memory.cellOfByte(region, offset); cell <= last; cell += memory.cellWords) {
      if (this.#shared.schedules(cell)) return true;
    }
    return false;
  }

  /** Race check of plain accesses to a range of bytes, word by word. */
  #order(op: number, region: Region, offset: number, count: number): void {
    const { memory, clocks, current: thread } = this.#machine;
    const end = offset + count;
    for (let at = offset; at < end; at = (at | 3) + 1) {
      const cell = memory.cellOfByte(region, at);
      const first = at & 3;
      const last = Math.min(4, first + end - at);
      const writes = op === OP_BYTES_STORE;
      const other = writes
        ? clocks.bytesWrite(thread, cell, first, last)
        : clocks.bytesRead(thread, cell, first, last);
      if (other >= 0) this.#shared.race(other, op, cell, at);
      if (writes) clocks.forgetBytes(cell, first, last);
    }
  }

  #peek(region: Region, offset: number, count: number): number {
    const memory = this.#machine.memory;
    let value = 0;
    for (let i = 0; i < count; i++) {
      const word = memory.heap[memory.cellOfByte(region, offset + i)];
      value |= ((word >>> (((offset + i) & 3) * 8)) & 0xff) << (8 * i);
    }
    return value;
  }

  #poke(
    region: Region,
    offset: number,
    source: ArrayLike<number>,
    begin: number,
    count: number,
  ): void {
    const memory = this.#machine.memory;
    for (let i = 0; i < count; i++) {
      const cell = memory.cellOfByte(region, offset + i);
      const shift = ((offset + i) & 3) * 8;
      const kept = memory.heap[cell] & ~(0xff << shift);
      const value = kept | ((source[begin + i] & 0xff) << shift);
      if (!this.#machine.direct) this.#shared.weakOf(cell)?.write(cell, value, false);
      memory.put(cell, value);
    }
  }

  // ── Atomic accesses ───────────────────────────────────────────────────────────────────────────

  /**
   * Any atomic access of one or two bytes, as unsigned bits; returns the old ones (a store: the new
   * ones).
   */
  atomic(op: number, region: Region, offset: number, size: 1 | 2, a: number, b: number): number {
    const machine = this.#machine;
    const { memory, spins, clocks } = machine;
    const mask = size === 1 ? 0xff : 0xffff;
    const shift = 8 * (offset & 3);
    const cell = memory.cellOfByte(region, offset);
    const before = (): number => (memory.heap[cell] >>> shift) & mask;
    const after = (bits: number): number => valueAfter(op, bits, a & mask, b & mask) & mask;
    const result = (bits: number): number =>
      (memory.heap[cell] & ~(mask << shift)) | (bits << shift);
    if (machine.direct) {
      const old = before();
      memory.put(cell, result(after(old)));
      return op === OP_STORE ? after(old) : old;
    }
    const operands = operandsOf(operandsOf(a & mask, b & mask), operandsOf(offset, size));
    if (machine.replays(op, cell, operands)) return machine.replayed;
    machine.arrive(op, cell, true, after(before()) !== before());
    const thread = machine.current;
    const old = before();
    const writes = op !== OP_LOAD && !(op === OP_COMPARE_EXCHANGE && old !== (a & mask));
    if (machine.limits.races) {
      const range = rangeOf(offset, size);
      const isRacy = this.#shared.isRacy(cell);
      if (isRacy) this.#isNeverStale(cell);
      // As for words: first it acquires.
      if (op !== OP_STORE) clocks.acquirePart(thread, cell, range);
      const other = clocks.part(thread, cell, range, writes);
      if (other >= 0 && !isRacy) this.#shared.race(other, op, cell);
      if (writes) clocks.releasePart(thread, cell, range);
    }
    const changed = result(after(old));
    if (changed !== memory.heap[cell]) {
      this.#shared.weakOf(cell)?.write(cell, changed, false);
      memory.put(cell, changed);
      spins.noteChange(thread);
      machine.changed();
    } else {
      spins.noteRead(thread, cell, changed);
    }
    const value = op === OP_STORE ? after(old) : old;
    machine.append(op, cell, operands, value);
    machine.recorder?.({ thread, op, cell, a: a & mask, b: b & mask, value });
    return value;
  }

  /** Any atomic access of the eight bytes of two words, as unsigned bits. */
  atomicLong(op: number, cell: number, a: bigint, b: bigint): bigint {
    const machine = this.#machine;
    const { memory, spins } = machine;
    const upper = cell + memory.cellWords;
    const before = (): bigint => longOf(memory.heap[cell], memory.heap[upper]);
    if (machine.direct) {
      const old = before();
      const present = longAfter(op, old, a, b);
      memory.put(cell, lowOf(present));
      memory.put(upper, highOf(present));
      return op === OP_STORE ? present : old;
    }
    const first = operandsOf(lowOf(a), highOf(a));
    const operands = operandsOf(first, operandsOf(lowOf(b), highOf(b)));
    if (machine.replays(op, cell, operands)) {
      const low = machine.replayed;
      machine.replays(OP_BYTES_LOAD, upper, 0);
      return longOf(low, machine.replayed);
    }
    this.meetTogether(op, cell);
    machine.arrive(op, cell, true, longAfter(op, before(), a, b) !== before());
    const thread = machine.current;
    const old = before();
    const present = longAfter(op, old, a, b);
    const writes = op !== OP_LOAD && !(op === OP_COMPARE_EXCHANGE && old !== BigInt.asUintN(64, a));
    this.orderLong(op, cell, op !== OP_STORE, writes);
    if (present !== old) {
      for (const [at, half] of [
        [cell, lowOf(present)],
        [upper, highOf(present)],
      ]) {
        this.#shared.weakOf(at)?.write(at, half, false);
        memory.put(at, half);
      }
      spins.noteChange(thread);
      machine.changed();
    } else {
      spins.noteRead(thread, cell, memory.heap[cell]);
      spins.noteRead(thread, upper, memory.heap[upper]);
    }
    const value = op === OP_STORE ? present : old;
    machine.append(op, cell, operands, lowOf(value));
    machine.append(OP_BYTES_LOAD, upper, 0, highOf(value));
    machine.recorder?.({ thread, op, cell, a: lowOf(a), b: lowOf(b), value: lowOf(value) });
    return value;
  }

  /** Called before an access of eight bytes: contention on one word counts for both. */
  meetTogether(op: number, cell: number): void {
    const { memory, contention, current, preparing } = this.#machine;
    const upper = cell + memory.cellWords;
    if (!preparing) contention.note(current, op, upper);
    const flags = memory.flags;
    const both = (flags[cell] | flags[upper]) & CELL_CONTENDED;
    if (both === 0 || (flags[cell] & both) !== 0) return;
    flags[cell] |= both;
    contention.grew = true;
  }

  /** Race check and synchronization of an atomic access of eight bytes. */
  orderLong(op: number, cell: number, reads: boolean, writes: boolean): void {
    const { memory, clocks, limits, current: thread } = this.#machine;
    if (!limits.races) return;
    if (reads) clocks.acquirePart(thread, cell, LONG_RANGE);
    for (const at of [cell, cell + memory.cellWords]) {
      const isRacy = this.#shared.isRacy(at);
      if (isRacy) this.#isNeverStale(at);
      const other = clocks.part(thread, at, LONG_RANGE, writes);
      if (other >= 0 && !isRacy) this.#shared.race(other, op, at);
    }
    if (writes) clocks.releasePart(thread, cell, LONG_RANGE);
  }

  /** Records that a racy word is read as written last, even with `memory: 'es'`. */
  #isNeverStale(cell: number): void {
    const { weak, contention, leftOut } = this.#machine;
    if (weak !== undefined && contention.at(cell)) leftOut.add('stale reads');
  }
}

function lowOf(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

function highOf(value: bigint): number {
  return Number(BigInt.asIntN(32, value >> 32n));
}

function longOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
