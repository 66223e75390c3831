// SPDX-License-Identifier: MIT
/** Example broker: memory for what executors say to each other, one thing behind the other. */

import { type BufferId, type BufferPool, NO_BUFFER } from 'busbar/pool';

/**
 * Takes a buffer when it is needed and gives it back at the end of the turn: what was written is
 * kept by the references of those who send it.
 */
export class Scratch {
  readonly #pool: BufferPool;
  readonly #onEmpty: () => void;
  /** That of the last reservation. */
  bufferId: BufferId = NO_BUFFER;
  #at: number = 0;
  #end: number = 0;

  /** `onEmpty` is told when there was no buffer. */
  constructor(pool: BufferPool, onEmpty: () => void) {
    this.#pool = pool;
    this.#onEmpty = onEmpty;
  }

  /** Where `length` bytes may be written, or -1: there is no buffer now. */
  reserve(length: number): number {
    if (this.bufferId === NO_BUFFER || this.#at + length > this.#end) {
      this.release();
      const bufferId = this.#pool.tryAcquire();
      if (bufferId === NO_BUFFER) {
        this.#onEmpty();
        return -1;
      }
      this.bufferId = bufferId;
      this.#at = this.#pool.offsetOf(bufferId);
      this.#end = this.#at + this.#pool.bufferSize;
    }
    const at = this.#at;
    this.#at += length;
    return at;
  }

  release(): void {
    if (this.bufferId !== NO_BUFFER) this.#pool.release(this.bufferId);
    this.bufferId = NO_BUFFER;
  }
}
