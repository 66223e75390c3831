// SPDX-License-Identifier: MIT
/** Example broker: pool memory for messages between executors, filled from front to back. */

import { type BufferId, type BufferPool, NO_BUFFER } from 'busbar/pool';

/**
 * Takes a buffer when one is needed and releases it at the end of the turn. What was written stays
 * alive by the references of its senders.
 */
export class Scratch {
  readonly #pool: BufferPool;
  readonly #onEmpty: () => void;
  /** The buffer of the last reservation. */
  bufferId: BufferId = NO_BUFFER;
  #at: number = 0;
  #end: number = 0;

  /** `onEmpty` is called when the pool had no buffer. */
  constructor(pool: BufferPool, onEmpty: () => void) {
    this.#pool = pool;
    this.#onEmpty = onEmpty;
  }

  /** Returns the offset at which `length` bytes may be written, or -1 if there is no buffer now. */
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
