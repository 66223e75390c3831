// SPDX-License-Identifier: MIT
/** How many buffers several framers of one thread may hold together. */

import { assert } from '../base/assert.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';

/**
 * Permits for buffers that framers read into.
 *
 * As a rule, what a program reads makes it write something, and its buffer is held until that is
 * done. If reads could take every buffer of a pool, nothing could be written, and no buffer would
 * come back. So reads have a part of the pool, and writes always have the rest.
 *
 * A framer has one permit while it holds buffers, also for the moment in which it holds two. First
 * come, first served: a permit that is given back goes to the caller that has waited longest.
 *
 * **Threads** One. **Cost** of a permit that is there, a load and a store; of a wait, an entry.
 */
export class BufferAllowance {
  readonly #countMax: number;
  #count = 0;
  readonly #waiting: Set<() => void> = new Set();

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Whether a caller waits for a permit. */
  get isWanted(): boolean {
    return this.#waiting.size > 0;
  }

  /** Takes a permit. False: there is none now, {@link take} waits for one. */
  tryTake(): boolean {
    if (this.#count >= this.#countMax) return false;
    this.#count++;
    return true;
  }

  /** Waits for a permit. When `signal` aborts it rejects with the reason, and takes none. */
  take(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const taker = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.delete(taker);
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(taker);
    });
  }

  /** Gives a permit back, or on to the one that has waited longest, who hears it later. */
  giveBack(): void {
    assert(this.#count > 0, 'a permit that is given back was taken');
    for (const taker of this.#waiting) {
      this.#waiting.delete(taker);
      taker();
      return;
    }
    this.#count--;
  }

  /** Waits for a permit, and then for a buffer: who waits for a permit keeps no buffer. */
  async acquire(pool: BufferPool, signal: AbortSignal): Promise<BufferId> {
    if (!this.tryTake()) await this.take(signal);
    try {
      return await pool.acquire({ signal });
    } catch (error) {
      this.giveBack();
      throw error;
    }
  }

  /** Gives back what {@link acquire} resolved with. */
  release(pool: BufferPool, bufferId: BufferId): void {
    this.giveBack();
    pool.release(bufferId);
  }
}
