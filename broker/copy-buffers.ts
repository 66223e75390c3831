// SPDX-License-Identifier: MIT
/** Example broker: buffers for messages that must be rewritten before they are passed on. */

import type { Backpressure, Waiter } from 'busbar/bus';
import { type BufferId, type BufferPool, NO_BUFFER } from 'busbar/pool';

/**
 * A limited number of buffers: a rewritten message holds its buffer until it has gone to all
 * recipients, and messages that wait for room must not take up that room.
 */
export class CopyBuffers {
  readonly #pool: BufferPool;
  readonly #backpressure: Backpressure;
  readonly #countMax: number;
  #count: number = 0;

  constructor(pool: BufferPool, backpressure: Backpressure, countMax: number) {
    this.#pool = pool;
    this.#backpressure = backpressure;
    this.#countMax = countMax;
  }

  /** Returns NO_BUFFER if there is none now; the caller must then block `waiter`. */
  tryTake(waiter: Waiter): BufferId {
    if (this.#count >= this.#countMax) return NO_BUFFER;
    const bufferId = this.#pool.tryAcquire();
    if (bufferId === NO_BUFFER) this.#backpressure.noBuffer(waiter);
    else this.#count++;
    return bufferId;
  }

  release(bufferId: BufferId): void {
    this.#pool.release(bufferId);
    // Others may wait for it.
    if (this.#count-- === this.#countMax) this.#backpressure.proceed();
  }
}
