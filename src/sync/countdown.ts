// SPDX-License-Identifier: MIT
/** `Countdown`: the last of several threads runs something, once. */

import type { Words } from '../base/atomics.ts';
import { checkFunction, checkInteger } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { ensureStack } from '../base/stack.ts';
import type { BufferPool } from '../pool/index.ts';
import { Counted } from './counted.ts';
import { COUNT_MAX, DIED, DONE, FAILED, PHASE, RUNNING, RUNS } from './phase-layout.ts';
import { nameOf } from './phased.ts';
import { createSyncBlock, handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';
import { STATE, WAITED } from './sync-layout.ts';

/** With this, another thread attaches to the countdown. */
export type CountdownHandle = SyncHandle<'countdown'>;

/**
 * A number of arrivals, after the last of which one thread runs a function, exactly once; others
 * may wait until it has run.
 *
 * If the function throws, or its thread dies, the countdown has failed, for all threads and for
 * good: what has run in part is not run again.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { Countdown } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const countdown = Countdown.create(pool, 2);
 * const sum = new Int32Array(new SharedArrayBuffer(12));
 * const add = () => sum.set([sum.slice(1).reduce((a, b) => a + b)]);
 * sum[1] = 5; // in one thread
 * if (countdown.run(add) !== 'counted') throw new Error('one is still to come');
 * sum[2] = 6; // in another
 * if (countdown.run(add) !== 'ran') throw new Error('it has failed');
 * if (countdown.waitSync() !== 'done') throw new Error('it has failed');
 * if (sum[0] !== 11) throw new Error('it has not run');
 * ```
 */
export class Countdown extends Counted<'failed'> {
  private constructor(pool: BufferPool, words: Words) {
    super(pool, words, 'failed');
  }

  /**
   * Makes a countdown for `count` arrivals, 1 … 32 767. **Cost** 128 bytes for each thread the pool
   * has room for, and 512. **Throws** TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool, count: number): Countdown {
    checkInteger('count', count, 1, COUNT_MAX);
    const words = createSyncBlock(pool, 'countdown', []);
    words[STATE] = count;
    return new Countdown(pool, words);
  }

  /** Joins a countdown by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: CountdownHandle): Countdown {
    return new Countdown(pool, openSyncBlock(pool, 'countdown', handle));
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): CountdownHandle {
    return handleOf('countdown', this.words);
  }

  /**
   * Adds `count` arrivals, unless the last one has come. **Throws** RangeError if there were more
   * than 32 767, ERR_BUSBAR_DETACHED.
   */
  add(count: number = 1): 'added' | 'done' | 'failed' {
    return this.countUp(count);
  }

  /**
   * This thread has arrived. 'last': it was the last one, does what is to be done once, and then
   * calls {@link finish}, or {@link fail}. 'done', 'failed': the last one had come before.
   *
   * **Cost** one load, one read-modify-write. **Throws** ERR_BUSBAR_DETACHED.
   */
  arrive(): 'counted' | 'last' | 'done' | 'failed' {
    return this.countDown(RUNS, 'arrive');
  }

  /**
   * Takes back one that was announced and that no thread has entered, for instance because its
   * thread has died: as {@link arrive}, but this thread stays responsible for what it has entered.
   *
   * **Throws** ERR_BUSBAR_NOT_OWNER if this thread is responsible for all that are left;
   * ERR_BUSBAR_DETACHED.
   */
  withdraw(): 'counted' | 'last' | 'done' | 'failed' {
    return this.countDown(RUNS, 'withdraw', false);
  }

  /**
   * What was to be done once is done: all that wait are woken, and see everything that this thread
   * wrote. **Throws** ERR_BUSBAR_NOT_OWNER if this thread was not the last to arrive;
   * ERR_BUSBAR_DETACHED.
   */
  finish(): void {
    this.endRun(DONE, 0, 'finish');
  }

  /** It cannot be done, for all threads and for good. **Throws** as {@link finish}. */
  fail(): void {
    this.endRun(FAILED, 0, 'fail');
  }

  /**
   * Arrives and, if it is the last, calls `action` and finishes. For an asynchronous action use
   * {@link arrive}.
   *
   * **Throws** what the action throws; the countdown has failed then. TypeError,
   * ERR_BUSBAR_DETACHED.
   */
  run(action: () => void): 'counted' | 'ran' | 'done' | 'failed' {
    checkFunction('action', action);
    ensureStack();
    const result = this.arrive();
    if (result !== 'last') return result;
    try {
      action();
    } catch (error) {
      if (this.pool.isAttached && this.isHeldHere) this.fail();
      throw error;
    }
    this.finish();
    return 'ran';
  }

  /** @internal For inspection. */
  get state(): string {
    return nameOf(this.phase, 'failed');
  }

  protected override atZero(state: number, byDeath: boolean): number {
    // No thread that lives was the last.
    return (state & DIED) | (byDeath ? FAILED : RUNNING | (state & WAITED));
  }

  protected override withoutDead(state: number, held: number): number {
    if ((state & PHASE) !== RUNNING || (held & RUNS) === 0) return super.withoutDead(state, held);
    return (state & DIED) | FAILED;
  }
}

describeAs(Countdown, 'Countdown', (countdown) => ({
  state: countdown.state,
  count: countdown.count,
}));
