// SPDX-License-Identifier: MIT
/** `WaitGroup`: waits until all that was begun is done, again and again. */

import type { Words } from '../base/atomics.ts';
import { describeAs } from '../base/description.ts';
import type { BufferPool } from '../pool/index.ts';
import { Counted } from './counted.ts';
import { DIED, EPOCH_BITS, EPOCH_ONE } from './phase-layout.ts';
import { createSyncBlock, handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';

/** With this, another thread attaches to the wait group. */
export type WaitGroupHandle = SyncHandle<'waitGroup'>;

/**
 * Counts what threads of a pool have begun and not yet done; any thread waits until that is
 * nothing. It can be used again at once: an `add` right after the last `done` hides it from no wait
 * that had begun before.
 *
 * Add before you give the work away. A thread that does counted work calls `enter` first, so that
 * no wait hangs if it dies.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { WaitGroup } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const group = WaitGroup.create(pool);
 * group.add(2);
 * const waiting = group.wait({ timeoutMs: 1000 });
 * group.done(); // in whatever thread
 * if (group.done() !== 'last' || (await waiting) !== 'done') throw new Error('not done');
 * ```
 */
export class WaitGroup extends Counted<never> {
  private constructor(pool: BufferPool, words: Words) {
    super(pool, words, undefined as never);
  }

  /**
   * Makes a wait group that counts nothing yet. **Cost** 128 bytes for each thread the pool has
   * room for, and 512. **Throws** TypeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool): WaitGroup {
    return new WaitGroup(pool, createSyncBlock(pool, 'waitGroup', []));
  }

  /** Joins a wait group by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: WaitGroupHandle): WaitGroup {
    return new WaitGroup(pool, openSyncBlock(pool, 'waitGroup', handle));
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): WaitGroupHandle {
    return handleOf('waitGroup', this.words);
  }

  /**
   * Counts up. **Cost** one load, one read-modify-write. **Throws** RangeError if more than 32 767
   * were counted, ERR_BUSBAR_DETACHED.
   */
  add(count: number = 1): void {
    this.countUp(count);
  }

  /**
   * Counts one down. 'last': none is left, and all that wait are woken; they see everything that
   * the threads wrote before their calls.
   *
   * **Cost** one load, one read-modify-write; the last, if threads wait, a load per thread of the
   * pool, and rings. **Throws** ERR_BUSBAR_NOT_OWNER if none is left; ERR_BUSBAR_DETACHED.
   */
  done(): 'counted' | 'last' {
    return this.countDown(0, 'done') as 'counted' | 'last';
  }

  /**
   * Takes back one that was announced and that no thread has entered, for instance because its
   * thread has died: as {@link done}, but this thread stays responsible for what it has entered.
   *
   * **Throws** ERR_BUSBAR_NOT_OWNER if this thread is responsible for all that are left;
   * ERR_BUSBAR_DETACHED.
   */
  withdraw(): 'counted' | 'last' {
    return this.countDown(0, 'withdraw', false) as 'counted' | 'last';
  }

  protected override atZero(state: number): number {
    return (state & DIED) | ((state + EPOCH_ONE) & EPOCH_BITS);
  }
}

describeAs(WaitGroup, 'WaitGroup', (group) => ({
  count: group.count,
  partyDied: group.partyDied,
}));
