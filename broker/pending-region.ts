// SPDX-License-Identifier: MIT
/** Example broker: bytes that wait to be sent to another executor, as one region of one buffer. */

import { type BufferId, type BufferPool, NO_BUFFER } from 'busbar/pool';

/** Holds one reference on its buffer while it is not empty. */
export class PendingRegion {
  bufferId: BufferId = NO_BUFFER;
  begin: number = 0;
  end: number = 0;
  readonly #pool: BufferPool;
  #bufferEnd: number = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  get isEmpty(): boolean {
    return this.bufferId === NO_BUFFER;
  }

  get length(): number {
    return this.end - this.begin;
  }

  /** Appends `[begin, end)` if it follows immediately, in the same buffer. */
  extend(begin: number, end: number): boolean {
    // The end of a buffer is the begin of the next one.
    if (begin !== this.end || begin >= this.#bufferEnd) return false;
    this.end = end;
    return true;
  }

  /** Sets an empty region to `[begin, end)`. The caller keeps its own reference. */
  set(begin: number, end: number): void {
    const pool = this.#pool;
    const bufferId = pool.bufferAt(begin);
    pool.retain(bufferId);
    this.bufferId = bufferId;
    this.begin = begin;
    this.end = end;
    this.#bufferEnd = pool.offsetOf(bufferId) + pool.bufferSize;
  }

  /** Empties it after its reference was passed on. */
  forget(): void {
    this.bufferId = NO_BUFFER;
    this.begin = 0;
    this.end = 0;
    this.#bufferEnd = 0;
  }

  drop(): void {
    if (!this.isEmpty) this.#pool.release(this.bufferId);
    this.forget();
  }
}
