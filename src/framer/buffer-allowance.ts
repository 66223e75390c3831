// SPDX-License-Identifier: MIT
/** `BufferAllowance`: bounds the buffers that several framers of one thread hold together. */

import { assert } from '../base/assert.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';

/**
 * Permits for buffers that framers read into.
 *
 * Usually a program writes a reply to what it reads, and holds the buffer until then. If reads
 * could take every buffer of a pool, nothing could be written, and no buffer would be released. So
 * reads have a part of the pool, and writes always have the rest.
 *
 * A framer has one permit while it holds buffers, even while it briefly holds two. First come,
 * first served: a returned permit goes to the caller that has waited longest.
 *
 * **Threads** one. **Cost** a load and a store for a free permit; an entry for a wait.
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

  /**
   * Whether one more permit makes more than half of them taken. A framer then does not wait for
   * bytes with an empty buffer: its peer may never send any.
   */
  get isScarce(): boolean {
    return 2 * (this.#count + 1) > this.#countMax;
  }

  /** Takes a permit. False: none is free now; {@link take} waits for one. */
  tryTake(): boolean {
    if (this.#count >= this.#countMax) return false;
    this.#count++;
    return true;
  }

  /** Waits for a permit. If `signal` aborts, rejects with its reason and takes none. */
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

  /** Returns a permit, or passes it to the caller that has waited longest. */
  giveBack(): void {
    assert(this.#count > 0, 'a permit that is given back was taken');
    for (const taker of this.#waiting) {
      this.#waiting.delete(taker);
      taker();
      return;
    }
    this.#count--;
  }

  /** Waits for a permit, then for a buffer: a caller that waits for a permit holds no buffer. */
  async acquire(pool: BufferPool, signal: AbortSignal): Promise<BufferId> {
    if (!this.tryTake()) await this.take(signal);
    try {
      return await pool.acquire({ signal });
    } catch (error) {
      this.giveBack();
      throw error;
    }
  }

  /** Releases a buffer of {@link acquire} and its permit. */
  release(pool: BufferPool, bufferId: BufferId): void {
    this.giveBack();
    pool.release(bufferId);
  }
}

/** For framers that share permits with no others: it never runs out. */
export const UNLIMITED: BufferAllowance = new BufferAllowance(Infinity);
