// SPDX-License-Identifier: MIT
/** `Barrier`: waits until every party is done; parties join, leave and die meanwhile. */

import { compareExchange, loadAcquire, type Words } from '../base/atomics.ts';
import { describeAs } from '../base/description.ts';
import { ensureStep } from '../base/stack.ts';
import type { BufferPool } from '../pool/index.ts';
import { Counted } from './counted.ts';
import { DIED, DONE, FAILED, OPEN, PHASE } from './phase-layout.ts';
import { nameOf } from './phased.ts';
import { createSyncBlock, handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';
import { STATE } from './sync-layout.ts';

/** With this, another thread attaches to the barrier. */
export type BarrierHandle = SyncHandle<'barrier'>;

/**
 * Parties, threads of a pool, that shut down together: each says when it is done, and any thread
 * waits until all have said so. It can be passed once.
 *
 * The thread that makes the barrier is its first party. A party announces others with `spawn`
 * before it is done itself; each of them is a thread that calls `enter` when it begins, so that it
 * is not waited for if it dies. `cancel` ends the barrier early, for all.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { Barrier } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const barrier = Barrier.create(pool);
 * barrier.spawn(); // for a thread that is then started
 * if (barrier.done() !== 'counted') throw new Error('the other is not done');
 * // in the other thread
 * if (barrier.enter() !== 'entered') throw new Error('it is over');
 * if (barrier.done() !== 'leader') throw new Error('it is the last');
 * // in any thread, whether it was a party or not
 * if (barrier.waitSync() !== 'done') throw new Error('cancelled');
 * ```
 */
export class Barrier extends Counted<'cancelled'> {
  private constructor(pool: BufferPool, words: Words) {
    super(pool, words, 'cancelled');
  }

  /**
   * Makes a barrier with this thread as its only party. **Cost** 128 bytes for each thread the pool
   * has room for, and 512. **Throws** TypeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool): Barrier {
    const words = createSyncBlock(pool, 'barrier', []);
    words[STATE] = 1;
    const barrier = new Barrier(pool, words);
    barrier.enter();
    return barrier;
  }

  /** Joins a barrier by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: BarrierHandle): Barrier {
    return new Barrier(pool, openSyncBlock(pool, 'barrier', handle));
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): BarrierHandle {
    return handleOf('barrier', this.words);
  }

  /**
   * Adds `count` parties, unless all are done. Each of them calls {@link enter}. If one dies before
   * that, which only the thread knows that has started it, that thread calls {@link withdraw}.
   *
   * **Throws** RangeError if there were more than 32 767, ERR_BUSBAR_DETACHED.
   */
  spawn(count: number = 1): 'added' | 'done' | 'cancelled' {
    return this.countUp(count);
  }

  /**
   * A party is done. 'leader': it was the last, and all that wait are woken; they see everything
   * that the parties wrote. 'done', 'cancelled': the barrier had ended before.
   *
   * **Cost** one load, one read-modify-write; the last, if threads wait, a load per thread of the
   * pool, and rings. **Throws** ERR_BUSBAR_DETACHED.
   */
  done(): 'counted' | 'leader' | 'done' | 'cancelled' {
    const result = this.countDown(0, 'done');
    return result === 'last' ? 'leader' : result;
  }

  /**
   * Takes back one that was announced and that no thread has entered, for instance because its
   * thread has died: as {@link done}, but this thread stays responsible for what it has entered.
   *
   * **Throws** ERR_BUSBAR_NOT_OWNER if this thread is responsible for all that are left;
   * ERR_BUSBAR_DETACHED.
   */
  withdraw(): 'counted' | 'leader' | 'done' | 'cancelled' {
    const result = this.countDown(0, 'withdraw', false);
    return result === 'last' ? 'leader' : result;
  }

  /** Ends the barrier for all, unless all are done: every wait, now and later, is 'cancelled'. */
  cancel(): 'cancelled' | 'done' {
    if (!this.pool.isAttached) this.pool.checkAttached();
    const { words } = this;
    ensureStep();
    for (;;) {
      const state = loadAcquire(words, STATE);
      const phase = state & PHASE;
      if (phase !== OPEN) return phase === DONE ? 'done' : 'cancelled';
      const next = (state & DIED) | FAILED;
      if (compareExchange(words, STATE, state, next) !== state) continue;
      if (state < 0) this.waiters.oweAll();
      return 'cancelled';
    }
  }

  /** Whether it has ended, and how. */
  get state(): 'open' | 'done' | 'cancelled' {
    return nameOf(this.phase, 'cancelled') as 'open' | 'done' | 'cancelled';
  }

  protected override atZero(state: number): number {
    return (state & DIED) | DONE;
  }
}

describeAs(Barrier, 'Barrier', (barrier) => ({
  state: barrier.state,
  count: barrier.count,
  partyDied: barrier.partyDied,
}));
