// SPDX-License-Identifier: MIT
/** `RwLock`: many threads read, or one writes. */

import { compareExchangeThenStore, loadAcquire, storeSeqCst, type Words } from '../base/atomics.ts';
import { checkOneOf, checkOptions, checkTimeoutMs, showMs } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { copyWaitOptions } from '../base/wait-guard.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import { Guard } from './guard.ts';
import { DEATHS, type OwnerDeath } from './mutex.ts';
import { BUSY, type GivenUp, givenUp, SPINS } from './primitive.ts';
import { isFree, ReadLock } from './read-lock.ts';
import { createSyncBlock, handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';
import {
  CLAIMED,
  CLAIMED_ORPHAN,
  FREE,
  HOLDER_MASK,
  ORPHANED,
  POISONED,
  READS,
  STATE,
  WAITED,
  WRITING,
} from './sync-layout.ts';

/** Options of a read-write lock. */
export interface RwLockOptions {
  /**
   * 'handOver' (default): after a thread has died that wrote, `ownerDied` tells those that get the
   * lock, until one has written. 'poison': no thread gets the lock any more.
   */
  readonly onOwnerDeath?: OwnerDeath;
}

/** With this, another thread attaches to the lock. */
export type RwLockHandle = SyncHandle<'rwlock'>;

/**
 * A lock between threads of a pool: any number of them read, or one of them writes.
 *
 * Readers on different threads write no common word, so they do not slow each other; a writer looks
 * at every thread of the pool. Neither side starves: who has to wait is served first come, first
 * served. There is no way from reading to writing but to unlock, since two threads that both want
 * it would wait for each other; for the way back see {@link downgrade}.
 *
 * The lock belongs to the thread, as that of a {@link Mutex}. What a dead thread had comes back by
 * the next waiter, within a tick of 50 ms.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { RwLock } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const lock = RwLock.create(pool);
 * const routes = new Int32Array(new SharedArrayBuffer(8));
 *
 * if (lock.writeSync(100) === 'acquired') {
 *   routes.set([1, 2]);
 *   lock.unlockWrite();
 * }
 * {
 *   using guard = await lock.readGuard();
 *   if (routes.join() !== '1,2') throw new Error('half changed');
 * }
 * ```
 */
export class RwLock extends ReadLock {
  private constructor(pool: BufferPool, words: Words) {
    super(pool, words);
    if (this.deadlocks !== undefined) this.tryWrite = this.noting(this.tryWrite);
  }

  /**
   * Makes a read-write lock between threads of a pool. **Cost** 128 bytes for each thread the pool
   * has room for, and 512. **Throws** TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool, options: RwLockOptions = {}): RwLock {
    const own = checkOptions('options', options, ['onOwnerDeath']);
    const death = checkOneOf('onOwnerDeath', own.onOwnerDeath ?? 'handOver', DEATHS);
    return new RwLock(pool, createSyncBlock(pool, 'rwlock', [DEATHS.indexOf(death)]));
  }

  /** Joins a lock by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static override attach(pool: BufferPool, handle: RwLockHandle): RwLock {
    return new RwLock(pool, openSyncBlock(pool, 'rwlock', handle));
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  override get handle(): RwLockHandle {
    return handleOf('rwlock', this.words);
  }

  /**
   * The same lock as readers see it, for code of this thread; its handle is for other threads.
   * **Throws** ERR_BUSBAR_DETACHED.
   */
  get readOnly(): ReadLock {
    return new ReadLock(this.pool, this.words);
  }

  /**
   * Gets the lock for writing if no thread has it or waits for it. 'busy', too, if another thread
   * is just trying.
   *
   * **Cost** one read-modify-write, two loads per thread of the pool; no allocation. **Throws**
   * ERR_BUSBAR_DETACHED.
   */
  tryWrite(): 'acquired' | 'busy' | 'poisoned' {
    if (!this.pool.isAttached) this.pool.checkAttached();
    const result = this.#tryOnce();
    return result === BUSY && this.looks() ? this.#tryOnce() : result;
  }

  /**
   * Gets the lock for writing, blocking this thread and its event loop.
   *
   * **Throws** ERR_BUSBAR_DEADLOCK if this thread reads or writes: it would wait for itself.
   */
  writeSync(timeoutMs: number = Infinity): 'acquired' | 'timeout' | 'poisoned' {
    checkTimeoutMs('timeoutMs', timeoutMs);
    const now = this.tryWrite();
    if (now !== BUSY) return now;
    if (this.isHeldHere) this.failWaiting('writeSync');
    for (let i = 0; i < SPINS; i++) {
      if (loadAcquire(this.words, STATE) === FREE && !this.areReading()) break;
    }
    const result = this.untilSync(this.#attempt, undefined, timeoutMs);
    if (result === 'timeout') this.dropClaim();
    return result;
  }

  /**
   * Gets the lock for writing, waiting without blocking. Once its turn has come, no thread begins
   * to read until this one has written, or has given up: do not block the thread meanwhile. Keeps
   * the event loop alive.
   *
   * **Throws** (rejects) TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  async write(options?: WaitOptions): Promise<'acquired' | 'poisoned' | GivenUp> {
    const result = await this.until(this.#attempt, undefined, options, 'write');
    if (result === 'timeout' || result === 'aborted') this.dropClaim();
    return result;
  }

  /**
   * Gives the lock back. **Cost** one read-modify-write; if threads wait, two loads per thread of
   * the pool, and a ring. **Throws** ERR_BUSBAR_NOT_OWNER if this thread does not write,
   * ERR_BUSBAR_DETACHED.
   */
  unlockWrite(): void {
    this.#checkWriting('unlockWrite');
    const { words, badge } = this;
    // SYNC(sync-state): publishes what this thread wrote; pairs with tryRead() and #take().
    const before = compareExchangeThenStore(words, STATE, badge, FREE, this.held, 0);
    if (before === badge) return;
    ensureStep();
    this.free(FREE);
  }

  /** From writing to reading, without a moment in which another thread could write. */
  downgrade(): void {
    this.#checkWriting('downgrade');
    ensureStep();
    storeSeqCst(this.words, this.waiters.seat + READS, 1);
    this.free(FREE);
  }

  /** {@link tryWrite} as a guard; undefined if it is 'busy'. **Throws** as {@link writeGuard}. */
  tryWriteGuard(): Guard | undefined {
    ensureStep();
    const result = this.tryWrite();
    return result === BUSY ? undefined : this.#guard(result, 'tryWriteGuard', undefined);
  }

  /** {@link writeSync} as a guard. **Throws** as {@link writeGuard}, ERR_BUSBAR_DEADLOCK. */
  writeGuardSync(timeoutMs: number = Infinity): Guard {
    ensureStep();
    return this.#guard(
      this.writeSync(timeoutMs),
      `writeGuardSync, ${showMs(timeoutMs)}`,
      undefined,
    );
  }

  /**
   * {@link write} as a guard.
   *
   * **Throws** (rejects) ERR_BUSBAR_TIMEOUT, `signal.reason`, ERR_BUSBAR_POISONED,
   * ERR_BUSBAR_DETACHED.
   */
  async writeGuard(options?: WaitOptions): Promise<Guard> {
    const own = copyWaitOptions(options);
    return this.#guard(await this.write(own), 'writeGuard', own);
  }

  /** True while this thread writes. */
  get isWriting(): boolean {
    this.pool.checkAttached();
    return this.words[this.held] === WRITING;
  }

  #tryOnce(): 'acquired' | 'busy' | 'poisoned' {
    ensureStep();
    const wasClaimed = this.isClaimed;
    // A claim that fails would keep readers out for a moment.
    if (!wasClaimed && this.areReading()) return this.#isPoisoned ? 'poisoned' : BUSY;
    const result = this.#take();
    if (result === BUSY && !wasClaimed) this.dropClaim();
    return result;
  }

  readonly #attempt = (): 'acquired' | 'busy' | 'poisoned' => {
    this.pool.checkAttached();
    ensureStep();
    const result = this.#take();
    // If others did not see that it waits, they might not ring it.
    if (result === BUSY && !this.isWaiting) this.dropClaim();
    return result;
  };

  /** Claims the lock, or has claimed it; writes if no thread reads. */
  #take(): 'acquired' | 'busy' | 'poisoned' {
    const { words, badge, held } = this;
    while (!this.isClaimed) {
      const state = loadAcquire(words, STATE);
      const holder = state & HOLDER_MASK;
      if (holder === POISONED) return 'poisoned';
      if (!isFree(holder) || !this.waiters.isNext(this.isWaiting)) return BUSY;
      // Others may still sleep.
      const next = badge | (this.isWaiting ? WAITED : state & WAITED);
      const claim = holder === ORPHANED ? CLAIMED_ORPHAN : CLAIMED;
      // SYNC(sync-state): before the look at READS; sees what the last writer wrote.
      compareExchangeThenStore(words, STATE, state, next, held, claim);
    }
    if (this.areReading()) return BUSY;
    const ownerDied = words[held] === CLAIMED_ORPHAN;
    words[held] = WRITING;
    return this.acquired(ownerDied);
  }

  get #isPoisoned(): boolean {
    return (loadAcquire(this.words, STATE) & HOLDER_MASK) === POISONED;
  }

  #checkWriting(what: string): void {
    if (this.isWriting) return;
    throw new BusbarError('ERR_BUSBAR_NOT_OWNER', what);
  }

  #guard(result: string, what: string, options: WaitOptions | undefined): Guard {
    if (result !== 'acquired') throw givenUp(result, what, options);
    return new Guard(this.#unlockWrite, this.ownerDied);
  }

  readonly #unlockWrite = (): void => this.unlockWrite();
}

describeAs(RwLock, 'RwLock', (lock) => ({ state: lock.state }));
