// SPDX-License-Identifier: MIT
/** `Counted`: threads count down to nothing, others wait for it. */

import { loadAcquire, type Words } from '../base/atomics.ts';
import { checkInteger, checkTimeoutMs } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStack, ensureStep } from '../base/stack.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import { COUNT_MAX, DONE, ENTERED_MAX, EPOCH_BITS, FAILED, OPEN, PHASE } from './phase-layout.ts';
import { Phased } from './phased.ts';
import { BUSY, type GivenUp } from './primitive.ts';
import { STATE } from './sync-layout.ts';

/** What {@link Countdown}, {@link WaitGroup} and {@link Barrier} have in common. */
export abstract class Counted<Failure extends string> extends Phased {
  /** The name of its failure. */
  readonly #failure: Failure;
  /** The epoch that the last unsuccessful attempt saw. */
  #epoch: number;

  protected constructor(pool: BufferPool, words: Words, failure: Failure) {
    super(pool, words);
    this.#failure = failure;
    this.#epoch = 0;
  }

  /** The STATE in which the count is 0, `waited` cleared. */
  protected abstract atZero(state: number, byDeath: boolean): number;

  /** How many are still to come; it may have changed when the caller sees it. */
  get count(): number {
    return loadAcquire(this.words, STATE) & COUNT_MAX;
  }

  /** True once a thread has died that had called {@link enter}: it is not counted any more. */
  get partyDied(): boolean {
    return this.hasDied;
  }

  /**
   * This thread is responsible for one of those that are counted, until it has counted it down: if
   * it dies before, that one is counted down for it, within 50 ms, and {@link partyDied} is true.
   *
   * **Throws** ERR_BUSBAR_NOT_OWNER if the thread is responsible for all of them;
   * ERR_BUSBAR_DETACHED.
   */
  enter(): 'entered' | 'done' | Failure {
    if (!this.pool.isAttached) this.pool.checkAttached();
    const { words } = this;
    const state = loadAcquire(words, STATE);
    if ((state & PHASE) !== OPEN) return this.#end(state);
    const entered = words[this.held] & ENTERED_MAX;
    if (entered >= (state & COUNT_MAX)) throw new BusbarError('ERR_BUSBAR_NOT_OWNER', 'enter');
    words[this.held] += 1;
    return 'entered';
  }

  /**
   * One more is counted, for which this thread is responsible as after {@link enter}.
   *
   * **Throws** RangeError if there were more than 32 767, ERR_BUSBAR_DETACHED.
   */
  join(): 'entered' | 'done' | Failure {
    const result = this.countUp(1, 1);
    return result === 'added' ? 'entered' : result;
  }

  /** 'done' if all have come. 'busy': not yet. **Throws** ERR_BUSBAR_DETACHED. */
  tryWait(): 'done' | 'busy' | Failure {
    if (!this.pool.isAttached) this.pool.checkAttached();
    const began = loadAcquire(this.words, STATE);
    const result = this.#look(began);
    return result === BUSY && this.looks() ? this.#look(began) : result;
  }

  /**
   * Waits until all have come, blocking this thread and its event loop.
   *
   * **Throws** ERR_BUSBAR_DEADLOCK if this thread is the last of a countdown: it would wait for
   * itself.
   */
  waitSync(timeoutMs: number = Infinity): 'done' | 'timeout' | Failure {
    checkTimeoutMs('timeoutMs', timeoutMs);
    const began = loadAcquire(this.words, STATE);
    const now = this.tryWait();
    if (now === BUSY && this.isHeldHere) throw this.deadlock('waitSync');
    return now === BUSY ? this.untilSync(this.#look, began, timeoutMs) : now;
  }

  /**
   * Waits until all have come, without blocking. Keeps the event loop alive.
   *
   * **Throws** (rejects) TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  async wait(options?: WaitOptions): Promise<'done' | Failure | GivenUp> {
    ensureStack();
    const began = loadAcquire(this.words, STATE);
    return this.until(this.#look, began, options, 'wait');
  }

  /** Counts up, a number of them for this thread; what has ended stays ended. */
  protected countUp(count: number, own: number = 0): 'added' | 'done' | Failure {
    checkInteger('count', count, 1, COUNT_MAX);
    if (!this.pool.isAttached) this.pool.checkAttached();
    for (;;) {
      const state = loadAcquire(this.words, STATE);
      if ((state & PHASE) !== OPEN) return this.#end(state);
      const now = state & COUNT_MAX;
      if (now + count > COUNT_MAX) {
        throw new RangeError(`count must be at most ${COUNT_MAX - now} now, got ${count}`);
      }
      // At most those that are counted: others have counted down the rest of what it had entered.
      const held = Math.min(this.words[this.held], now);
      if (this.swap(state, state + count, held + own)) return 'added';
    }
  }

  /**
   * Counts one down: with `own`, one for which this thread is responsible, if there is any; without
   * it, one for which no thread is. `runs` is added to what this thread holds if it is the last.
   */
  protected countDown(
    runs: number,
    what: string,
    own: boolean = true,
  ): 'counted' | 'last' | 'done' | Failure {
    if (!this.pool.isAttached) this.pool.checkAttached();
    const { words, waiters } = this;
    ensureStep();
    for (;;) {
      const state = loadAcquire(words, STATE);
      if ((state & PHASE) !== OPEN) return this.#end(state);
      const count = state & COUNT_MAX;
      const entered = words[this.held] & ENTERED_MAX;
      if (count <= (own ? 0 : entered)) throw new BusbarError('ERR_BUSBAR_NOT_OWNER', what);
      const held = own ? Math.max(0, entered - 1) : entered;
      if (count > 1) {
        if (this.swap(state, state - 1, held)) return 'counted';
        continue;
      }
      const next = this.atZero(state, false);
      if (!this.swap(state, next, held | runs)) continue;
      if (state < 0 && next >= 0) waiters.oweAll();
      return 'last';
    }
  }

  protected override isPending(state: number): boolean {
    const phase = state & PHASE;
    if (phase !== OPEN) return phase !== DONE && phase !== FAILED;
    return (state & COUNT_MAX) !== 0 && (state & EPOCH_BITS) === this.#epoch;
  }

  /** All were rung at once: there is nothing to pass on. */
  protected override passRingOn(): void {}

  protected override withoutDead(state: number, held: number): number {
    const entered = Math.min(held & ENTERED_MAX, state & COUNT_MAX);
    if ((state & PHASE) !== OPEN || entered === 0) return state;
    return entered === (state & COUNT_MAX) ? this.atZero(state, true) : state - entered;
  }

  /** `began` is the STATE when the wait began. */
  readonly #look = (began: number): 'done' | 'busy' | Failure => {
    this.pool.checkAttached();
    // SYNC(sync-state): sees what the threads wrote before they counted down.
    const state = loadAcquire(this.words, STATE);
    this.#epoch = began & EPOCH_BITS;
    if (this.isPending(state)) return BUSY;
    return (state & PHASE) === OPEN ? 'done' : this.#end(state);
  };

  #end(state: number): 'done' | Failure {
    return (state & PHASE) === FAILED ? this.#failure : 'done';
  }
}
