// SPDX-License-Identifier: MIT
/** `Semaphore`: permits that threads take and give back, first come, first served. */

import {
  compareExchange,
  compareExchangeThenStore,
  fetchOr,
  loadAcquire,
  storeRelease,
  type Words,
} from '../base/atomics.ts';
import { checkBoolean, checkInteger, checkOptions, checkTimeoutMs, showMs } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStack, ensureStep } from '../base/stack.ts';
import { copyWaitOptions } from '../base/wait-guard.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import type { Asker } from '../pool/liveness.ts';
import { Guard } from './guard.ts';
import { BUSY, type GivenUp, givenUp, Primitive, SPINS } from './primitive.ts';
import { createSyncBlock, handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';
import {
  DISABLED,
  HEADER_CHOICES,
  HELD,
  NOT_WAITING,
  PERMITS_MASK,
  STATE,
  WAITED,
  WANTED,
} from './sync-layout.ts';

/** Options of a semaphore. */
export interface SemaphoreOptions {
  /** Number of permits at first: 0 … max. */
  readonly permits: number;
  /** Most permits at any time: 1 … 2³⁰ − 1. Default: `permits`, or 1 if that is 0. */
  readonly max?: number;
  /**
   * True: permits belong to the thread that took them, and only that thread can give them back; if
   * it dies, they come back by themselves. False (default): any thread may add permits, as a signal
   * to another one; permits that a thread took are lost if it dies.
   */
  readonly owned?: boolean;
}

/** With this, another thread attaches to the semaphore. */
export type SemaphoreHandle = SyncHandle<'semaphore'>;

/**
 * Permits shared by the threads of a pool: to limit how many threads do something at once (`owned:
 * true`), or to tell another thread that there is something to do.
 *
 * A thread asks for one permit or several, and gets all or none. Across threads, callers are served
 * in the order in which they asked: one that wants many is not overtaken by others that want few.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { Semaphore } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const four = Semaphore.create(pool, { permits: 4, owned: true });
 * {
 *   using held = await four.guard(3);
 *   if (four.tryAcquire(2) !== 'busy') throw new Error('only one is left');
 * }
 * if (four.permits !== 4) throw new Error('they were given back');
 * ```
 */
export class Semaphore extends Primitive {
  /** At most this many permits. */
  readonly max: number;
  /** True if permits belong to the thread that took them. */
  readonly owned: boolean;
  readonly #held: number;
  /** How many permits the last attempt of a waiting caller wanted. */
  #wanted: number;

  private constructor(pool: BufferPool, words: Words) {
    super(pool, words, 'first come');
    this.max = words[HEADER_CHOICES];
    this.owned = words[HEADER_CHOICES + 1] !== 0;
    this.#held = this.waiters.seat + HELD;
    this.#wanted = 1;
    if (this.owned) this.waiters.join();
    if (this.deadlocks !== undefined) this.tryAcquire = this.noting(this.tryAcquire);
  }

  /**
   * Makes a semaphore between threads of a pool. **Cost** 128 bytes for each thread the pool has
   * room for, and 512. **Throws** TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool, options: SemaphoreOptions): Semaphore {
    const own = checkOptions('options', options, ['permits', 'max', 'owned']);
    const permits = checkInteger('permits', own.permits, 0, PERMITS_MASK);
    const max = checkInteger('max', own.max ?? Math.max(permits, 1), 1, PERMITS_MASK);
    if (permits > max) throw new RangeError(`permits must be at most max, got ${permits}, ${max}`);
    const owned = checkBoolean('owned', own.owned ?? false);
    const words = createSyncBlock(pool, 'semaphore', [max, Number(owned)]);
    words[STATE] = permits;
    return new Semaphore(pool, words);
  }

  /** Joins a semaphore by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: SemaphoreHandle): Semaphore {
    return new Semaphore(pool, openSyncBlock(pool, 'semaphore', handle));
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): SemaphoreHandle {
    return handleOf('semaphore', this.words);
  }

  /**
   * Takes permits if that many are free and no thread waits for some; otherwise returns 'busy'.
   *
   * **Cost** one load, one read-modify-write, no allocation. **Throws** RangeError,
   * ERR_BUSBAR_DETACHED.
   */
  tryAcquire(count: number = 1): 'acquired' | 'busy' | 'disabled' {
    this.#checkCount(count);
    if (!this.pool.isAttached) this.pool.checkAttached();
    const { words } = this;
    const state = loadAcquire(words, STATE);
    if (state >= count && (state & DISABLED) === 0 && this.#swap(state, state - count, count)) {
      return 'acquired';
    }
    const result = this.#take(count);
    // Of the dead, holders and waiters keep newcomers out.
    if (result !== BUSY || !(this.owned || this.permits >= count)) return result;
    return this.looks() ? this.#take(count) : result;
  }

  /**
   * Takes permits, blocking this thread and its event loop until they are free and it is this
   * thread's turn. Served before callers of {@link acquire} in this thread.
   *
   * **Throws** ERR_BUSBAR_DEADLOCK if permits are owned and this thread holds so many that there
   * can never be enough; RangeError, ERR_BUSBAR_DETACHED.
   */
  acquireSync(
    count: number = 1,
    timeoutMs: number = Infinity,
  ): 'acquired' | 'timeout' | 'disabled' {
    checkTimeoutMs('timeoutMs', timeoutMs);
    const now = this.tryAcquire(count);
    if (now !== BUSY) return now;
    if (this.owned && this.words[this.#held] + count > this.max) {
      throw this.deadlock('acquireSync');
    }
    for (let i = 0; i < SPINS; i++) {
      if (loadAcquire(this.words, STATE) >= count) break;
    }
    return this.untilSync(this.#attempt, count, timeoutMs);
  }

  /**
   * Takes permits, waiting for them without blocking, after earlier callers. A wait that times out
   * or is aborted takes none. Keeps the event loop alive.
   *
   * **Throws** (rejects) TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  async acquire(
    count: number = 1,
    options?: WaitOptions,
  ): Promise<'acquired' | 'disabled' | GivenUp> {
    this.#checkCount(count);
    return this.until(this.#attempt, count, options, 'acquire');
  }

  /**
   * Gives permits back, or adds them. 'full': there would be more than {@link max}, and nothing has
   * changed. 'disabled': the semaphore was disabled, and no thread needs permits any more.
   *
   * **Cost** one load, one read-modify-write; if threads wait, a load per thread of the pool, and a
   * ring. **Throws** RangeError; ERR_BUSBAR_NOT_OWNER if permits are owned and this thread does not
   * hold that many; ERR_BUSBAR_DETACHED.
   */
  release(count: number = 1): 'released' | 'full' | 'disabled' {
    this.#checkCount(count);
    if (!this.pool.isAttached) this.pool.checkAttached();
    const { words } = this;
    if (this.owned && words[this.#held] < count) {
      throw new BusbarError('ERR_BUSBAR_NOT_OWNER', `${words[this.#held]} held, not ${count}`);
    }
    ensureStep();
    for (;;) {
      const state = loadAcquire(words, STATE);
      if ((state & DISABLED) !== 0) return 'disabled';
      if ((state & PERMITS_MASK) + count > this.max) return 'full';
      if (!this.#swap(state, state + count, -count)) continue;
      if (state < 0) this.waiters.owe();
      return 'released';
    }
  }

  /** {@link tryAcquire} as a guard; undefined if it is 'busy'. **Throws** as {@link guard}. */
  tryGuard(count: number = 1): Guard | undefined {
    ensureStep();
    const result = this.tryAcquire(count);
    return result === BUSY ? undefined : this.#guard(result, count, 'tryGuard', undefined);
  }

  /** {@link acquireSync} as a guard. **Throws** as {@link guard}. */
  guardSync(count: number = 1, timeoutMs: number = Infinity): Guard {
    ensureStep();
    const result = this.acquireSync(count, timeoutMs);
    return this.#guard(result, count, `guardSync, ${showMs(timeoutMs)}`, undefined);
  }

  /**
   * {@link acquire} as a guard, which releases the same number.
   *
   * **Throws** (rejects) ERR_BUSBAR_TIMEOUT, `signal.reason`, ERR_BUSBAR_DISABLED, RangeError,
   * ERR_BUSBAR_DETACHED.
   */
  async guard(count: number = 1, options?: WaitOptions): Promise<Guard> {
    const own = copyWaitOptions(options);
    return this.#guard(await this.acquire(count, own), count, 'guard', own);
  }

  /**
   * Ends the semaphore for all threads: every wait, and every later call, returns 'disabled'. A
   * second call has no effect.
   */
  disable(): void {
    ensureStack();
    this.pool.checkAttached();
    // SYNC(sync-state): before the look at who waits: a thread that waits later sees DISABLED.
    fetchOr(this.words, STATE, DISABLED);
    this.waiters.ringAll();
  }

  /** True once any thread has disabled the semaphore. */
  get disabled(): boolean {
    return (loadAcquire(this.words, STATE) & DISABLED) !== 0;
  }

  /** Number of free permits; it may have changed when the caller sees it. */
  get permits(): number {
    return loadAcquire(this.words, STATE) & PERMITS_MASK;
  }

  /** @internal */
  override get isHeldHere(): boolean {
    return this.owned && this.words[this.#held] > 0;
  }

  /** @internal Where permits are not owned, any thread may help. */
  override holders(note: (badge: number, units: number) => void): number {
    if (!this.owned) return 0;
    this.waiters.forEachHolder(note);
    return this.#wanted - (loadAcquire(this.words, STATE) & PERMITS_MASK);
  }

  /** @internal */
  override armRing(): boolean {
    const { words } = this;
    const state = loadAcquire(words, STATE);
    // Threads before this one take theirs first, and ring the next.
    const isEnough = (state & PERMITS_MASK) >= this.#wanted;
    if (isEnough && this.waiters.isNext(this.isWaiting)) return false;
    if (state < 0) return true;
    return compareExchange(words, STATE, state, state | WAITED) === state;
  }

  protected override takeable(): number {
    const { permits } = this;
    return permits < this.#wanted ? 0 : permits;
  }

  /** Takes back permits of dead threads. */
  protected override recoverDead(asker: Asker): boolean {
    const freed = this.waiters.recover(asker);
    if (freed > 0 || loadAcquire(this.words, STATE) < 0) this.waiters.ringFirst();
    return freed > 0;
  }

  protected override passRingOn(): void {
    const { words, waiters } = this;
    if (!waiters.isEmpty) {
      const state = loadAcquire(words, STATE);
      // Where no permit is left, the next release() rings.
      if ((state & PERMITS_MASK) !== 0 || state >= 0) waiters.ringFirst();
      return;
    }
    if (this.stopsQueueing()) waiters.ringFirst();
  }

  /** Gives back what a dead thread held. One indivisible call changes STATE and clears HELD. */
  protected override inherit(seat: number): void {
    const { words } = this;
    const at = seat + HELD;
    for (;;) {
      const held = words[at];
      if (held === 0) return;
      const state = loadAcquire(words, STATE);
      compareExchangeThenStore(words, STATE, state, state + held, at, 0);
    }
  }

  /** One attempt of a waiting caller. */
  readonly #attempt = (count: number): 'acquired' | 'busy' | 'disabled' => {
    this.pool.checkAttached();
    this.#wanted = count;
    // SYNC(sync-waiting): before this thread is seen to wait; pairs with countBefore().
    storeRelease(this.words, this.waiters.seat + WANTED, count);
    const result = this.#take(count);
    if (result === 'acquired' && this.isWaiting && !this.line.isEmpty) {
      // This thread goes to the end of the queue; what is left may be enough for the next.
      this.waiters.renew();
      this.waiters.owe();
    }
    return result;
  };

  #take(count: number): 'acquired' | 'busy' | 'disabled' {
    for (;;) {
      const state = loadAcquire(this.words, STATE);
      if ((state & DISABLED) !== 0) return 'disabled';
      if ((state & PERMITS_MASK) < count || !this.waiters.isNext(this.isWaiting)) return BUSY;
      if (!this.#swap(state, state - count, count)) continue;
      this.waiters.passed = NOT_WAITING;
      return 'acquired';
    }
  }

  /** Changes STATE and what this thread holds, or neither. Returns whether it did. */
  #swap(state: number, next: number, change: number): boolean {
    const { words } = this;
    const at = this.#held;
    const held = this.owned ? words[at] + change : 0;
    // SYNC(sync-state): a release publishes what this thread wrote before; an acquisition sees what
    // earlier releasers wrote.
    return compareExchangeThenStore(words, STATE, state, next, at, held) === state;
  }

  #checkCount(count: number): void {
    // Numbers only: for others `|` calls code of the caller's, or throws an error of its own.
    if (typeof count === 'number' && (count | 0) === count && count >= 1 && count <= this.max) {
      return;
    }
    checkInteger('count', count, 1, this.max);
  }

  #guard(result: string, count: number, what: string, options: WaitOptions | undefined): Guard {
    if (result !== 'acquired') throw givenUp(result, what, options);
    return new Guard(() => this.release(count), false);
  }
}

describeAs(Semaphore, 'Semaphore', (semaphore) => ({
  permits: semaphore.permits,
  max: semaphore.max,
  owned: semaphore.owned,
  disabled: semaphore.disabled,
}));
