// SPDX-License-Identifier: MIT
/** What the executors of the group cases do, and how the measuring thread knows that they have. */

import type { BufferId, BufferPool } from 'busbar/pool';
import { isMessage, nextNumber } from './message.ts';

/** Words between those of two executors. */
const APART = 64;
const HANDLED = 0;
const SUM = 1;
const WRONG = 2;

/** The low bits of a message's number are its key, which therefore come in turn. */
export const KEYS = 128;
const KEY_MASK = KEYS - 1;

/** Where 64 B messages begin their count of places, see message.ts. */
const NUMBER_BASE = 2 ** 52;
/** What an executor handles of a packet of shared-nothing: a whole number in eight bytes. */
export const NUMBER_BYTES = 8;

/** What an executor does with what comes: checks messages, adds up numbers, or sends it back. */
export type WorkKind = 'keyed-messages' | 'all-messages' | 'numbers' | 'echo';

export interface WorkData {
  readonly kind: WorkKind;
  readonly progress: Int32Array<SharedArrayBuffer>;
}

/** Words in which every executor says how far it is. */
export function createProgress(executors: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(executors * APART * Int32Array.BYTES_PER_ELEMENT));
}

/** Packets that all executors together have handled, modulo 2³². */
export function handledSoFar(progress: Int32Array): number {
  let handled = 0;
  for (let base = 0; base < progress.length; base += APART) {
    handled = (handled + Atomics.load(progress, base + HANDLED)) | 0;
  }
  return handled;
}

/** What the numbers that all have handled add up to, modulo 2³². **Throws** if one was wrong. */
export function sumSoFar(progress: Int32Array): number {
  let sum = 0;
  for (let base = 0; base < progress.length; base += APART) {
    if (Atomics.load(progress, base + WRONG) !== 0) throw new Error('packets arrived wrong');
    sum = (sum + Atomics.load(progress, base + SUM)) | 0;
  }
  return sum;
}

/** Reads what came, counts it and gives it back to the pool. */
export class Reader {
  private readonly pool: BufferPool;
  private readonly progress: Int32Array;
  private readonly base: number;
  private handled = 0;
  private sum = 0;
  /** The number of each key's next message; −1 before its first. */
  private readonly expected: Int32Array = new Int32Array(KEYS).fill(-1);
  private next = 0;

  constructor(pool: BufferPool, progress: Int32Array, index: number) {
    this.pool = pool;
    this.progress = progress;
    this.base = index * APART;
  }

  /** A message of 64 B whose key has come in order. */
  takeKeyed(bufferId: BufferId, offset: number): void {
    const { view } = this.pool;
    const number = view.getFloat64(offset, true) - NUMBER_BASE;
    const key = number & KEY_MASK;
    const expected = this.expected[key];
    if (!isMessage(view, offset, number) || (expected !== number && expected >= 0)) this.fail();
    this.expected[key] = nextNumber(number | KEY_MASK) | key;
    this.finish(bufferId);
  }

  /** A message of 64 B, when all messages come to each executor. */
  takeNext(bufferId: BufferId, offset: number): void {
    if (!isMessage(this.pool.view, offset, this.next)) this.fail();
    this.next = nextNumber(this.next);
    this.finish(bufferId);
  }

  /** A whole number of eight bytes. */
  takeNumber(bufferId: BufferId, offset: number): void {
    const { view } = this.pool;
    if (view.getInt32(offset + 4, true) !== 0) this.fail();
    this.sum = (this.sum + view.getInt32(offset, true)) | 0;
    Atomics.store(this.progress, this.base + SUM, this.sum);
    this.finish(bufferId);
  }

  private finish(bufferId: BufferId): void {
    this.pool.release(bufferId);
    this.handled = (this.handled + 1) | 0;
    Atomics.store(this.progress, this.base + HANDLED, this.handled);
  }

  private fail(): void {
    Atomics.add(this.progress, this.base + WRONG, 1);
  }
}
