// SPDX-License-Identifier: MIT
/** `Mutex`: a lock that at most one thread holds; if that thread dies, the others learn of it. */

import { compareExchange, loadAcquire, type Words } from '../base/atomics.ts';
import {
  checkInteger,
  checkMade,
  checkOneOf,
  checkOptions,
  checkTimeoutMs,
  showMs,
} from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { isWords } from '../base/views.ts';
import { copyWaitOptions } from '../base/wait-guard.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import { type Asker, BY_TICK } from '../pool/liveness.ts';
import { Guard } from './guard.ts';
import { BUSY, type GivenUp, givenUp, Primitive, SPINS } from './primitive.ts';
import { createSyncBlock, handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';
import {
  FREE,
  HEADER_CHOICES,
  HOLDER_MASK,
  NOT_WAITING,
  ORPHANED,
  POISONED,
  STATE,
  TAG,
  WAITED,
} from './sync-layout.ts';

/** Who gets a lock that several threads wait for. */
export type LockOrder = (typeof ORDERS)[number];
/** What happens to a lock whose holder has died. */
export type OwnerDeath = (typeof DEATHS)[number];

const ORDERS = ['barging', 'lifo', 'fair'] as const;
export const DEATHS = ['handOver', 'poison'] as const;

/** Options of a mutex. */
export interface MutexOptions {
  /**
   * 'barging' (default, the fastest): a free lock goes to the first thread that asks, and unlocking
   * wakes the thread that has waited longest. 'lifo': unlocking wakes the thread that began to wait
   * last, whose caches are warm. 'fair': a thread that asks queues behind those that wait.
   */
  readonly order?: LockOrder;
  /**
   * 'handOver' (default): the next thread gets the lock, and `ownerDied` tells it. 'poison': no
   * thread gets the lock any more.
   */
  readonly onOwnerDeath?: OwnerDeath;
}

/** With this, another thread attaches to the mutex. */
export type MutexHandle = SyncHandle<'mutex'>;

/**
 * A lock between threads of a pool, for steps on shared memory that must happen as one.
 *
 * Three ways to ask: `tryLock` now, `lockSync` blocks the thread, `lock` returns a promise. All
 * three return a word, and the caller has the lock if it is 'acquired'. `tryGuard`, `guardSync` and
 * `guard` return an object for `using`. Without the lock they throw; but for 'busy' `tryGuard`
 * returns undefined.
 *
 * The lock belongs to the thread, not to the piece of code that asked: two asynchronous functions
 * of one thread exclude each other, and each must unlock what it has locked. A thread that dies, or
 * detaches from the pool, while it holds the lock never unlocks it: waiting threads learn of that
 * within a tick of 50 ms.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { Mutex } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const mutex = Mutex.create(pool);
 * const account = new Int32Array(new SharedArrayBuffer(8));
 * // Elsewhere: Mutex.attach(BufferPool.attach(poolHandle), mutexHandle)
 *
 * if (mutex.lockSync(100) === 'acquired') {
 *   account.set([95, 5]);
 *   mutex.unlock();
 * }
 * {
 *   using guard = await mutex.guard();
 *   if (guard.ownerDied) account.fill(0);
 * }
 * ```
 */
export class Mutex extends Primitive {
  readonly #order: LockOrder;
  readonly #onOwnerDeath: OwnerDeath;
  #ownerDied: boolean;

  private constructor(pool: BufferPool, words: Words) {
    checkMade(isWords(words), new.target);
    const order = ORDERS[words[HEADER_CHOICES]];
    super(pool, words, order === 'lifo' ? 'last come' : 'first come');
    this.#order = order;
    this.#onOwnerDeath = DEATHS[words[HEADER_CHOICES + 1]];
    this.#ownerDied = false;
    if (this.deadlocks !== undefined) this.tryLock = this.noting(this.tryLock);
  }

  /**
   * Makes a mutex between threads of a pool. **Cost** 128 bytes for each thread the pool has room
   * for, and 512. **Throws** TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool, options: MutexOptions = {}): Mutex {
    const own = checkOptions('options', options, ['order', 'onOwnerDeath']);
    const order = checkOneOf('order', own.order ?? 'barging', ORDERS);
    const death = checkOneOf('onOwnerDeath', own.onOwnerDeath ?? 'handOver', DEATHS);
    const choices = [ORDERS.indexOf(order), DEATHS.indexOf(death)];
    return new Mutex(pool, createSyncBlock(pool, 'mutex', choices));
  }

  /** Joins a mutex by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: MutexHandle): Mutex {
    return new Mutex(pool, openSyncBlock(pool, 'mutex', handle));
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): MutexHandle {
    return handleOf('mutex', this.words);
  }

  /**
   * Takes the lock if it is free. 'busy': it is held, or the mutex is 'fair' and others wait.
   *
   * **Cost** one read-modify-write, no allocation. **Throws** ERR_BUSBAR_DETACHED.
   */
  tryLock(): 'acquired' | 'busy' | 'poisoned' {
    if (!this.pool.isAttached) this.pool.checkAttached();
    // SYNC(sync-state): sees what the last holder wrote; pairs with unlock().
    const before = compareExchange(this.words, STATE, FREE, this.badge);
    if (before !== FREE) return this.#trySlowly();
    this.#ownerDied = false;
    return 'acquired';
  }

  /**
   * Takes the lock, blocking this thread and its event loop until it is free. Served before callers
   * of {@link lock} in this thread, since those could not unlock while it is blocked.
   *
   * **Throws** ERR_BUSBAR_DEADLOCK if this thread holds the lock: it would wait for itself.
   */
  lockSync(timeoutMs: number = Infinity): 'acquired' | 'timeout' | 'poisoned' {
    checkTimeoutMs('timeoutMs', timeoutMs);
    const now = this.tryLock();
    if (now !== BUSY) return now;
    if (this.isHeld) throw this.deadlock('lockSync');
    if (this.#order !== 'fair') {
      const result = this.#spin();
      if (result !== BUSY) {
        if (result === 'acquired') this.deadlocks?.acquired(this);
        return result;
      }
    }
    return this.untilSync(this.#attempt, undefined, timeoutMs);
  }

  /**
   * Takes the lock, waiting for it without blocking, after earlier callers of this thread. A wait
   * that times out or is aborted does not take the lock. Keeps the event loop alive.
   *
   * **Throws** (rejects) TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  lock(options?: WaitOptions): Promise<'acquired' | 'poisoned' | GivenUp> {
    return this.until(this.#attempt, undefined, options, 'lock');
  }

  /**
   * Gives the lock back.
   *
   * **Cost** one read-modify-write; if threads wait, two, a load per thread of the pool, a ring.
   * **Throws** ERR_BUSBAR_NOT_OWNER if this thread does not hold it, ERR_BUSBAR_DETACHED if it has
   * left the pool, and with it the lock; nothing has changed then.
   */
  unlock(): void {
    if (!this.pool.isAttached) this.pool.checkAttached();
    // SYNC(sync-state): publishes what this thread wrote; pairs with tryLock() and #take().
    const before = compareExchange(this.words, STATE, this.badge, FREE);
    if (before !== this.badge) this.#unlockWaited(before);
  }

  /** {@link tryLock} as a guard; undefined if the lock is not free. **Throws** as {@link guard}. */
  tryGuard(): Guard | undefined {
    ensureStep();
    const result = this.tryLock();
    return result === BUSY ? undefined : this.#guard(result, 'tryGuard', undefined);
  }

  /** {@link lockSync} as a guard. **Throws** as {@link guard}, ERR_BUSBAR_DEADLOCK. */
  guardSync(timeoutMs: number = Infinity): Guard {
    ensureStep();
    return this.#guard(this.lockSync(timeoutMs), `guardSync, ${showMs(timeoutMs)}`, undefined);
  }

  /**
   * {@link lock} as a guard.
   *
   * **Throws** (rejects) ERR_BUSBAR_TIMEOUT, `signal.reason`, ERR_BUSBAR_POISONED,
   * ERR_BUSBAR_DETACHED.
   */
  async guard(options?: WaitOptions): Promise<Guard> {
    const own = copyWaitOptions(options);
    return this.#guard(await this.lock(own), 'guard', own);
  }

  /** True while this thread holds the lock. */
  get isHeld(): boolean {
    return (loadAcquire(this.words, STATE) & HOLDER_MASK) === this.badge;
  }

  /**
   * True if this object's last lock came from a thread that died while it held the lock: what the
   * lock protects may be half changed. Read this before {@link unlock}.
   */
  get ownerDied(): boolean {
    return this.#ownerDied;
  }

  /**
   * A 32-bit integer that is passed with the lock from holder to holder; at first 0.
   *
   * **Throws** ERR_BUSBAR_NOT_OWNER if this thread does not hold the lock, ERR_BUSBAR_DETACHED.
   */
  get tag(): number {
    this.#checkHeld();
    return this.words[TAG];
  }

  set tag(value: number) {
    checkInteger('tag', value, -(2 ** 31), 2 ** 31 - 1);
    this.#checkHeld();
    this.words[TAG] = value;
  }

  /** The state of the lock; it may have changed when the caller sees it. */
  get state(): 'free' | 'held' | 'poisoned' {
    const holder = loadAcquire(this.words, STATE) & HOLDER_MASK;
    if (holder === POISONED) return 'poisoned';
    return holder === FREE || holder === ORPHANED ? 'free' : 'held';
  }

  /** @internal */
  override get isHeldHere(): boolean {
    return this.isHeld;
  }

  /** @internal */
  override holders(note: (badge: number, units: number) => void): number {
    const holder = loadAcquire(this.words, STATE) & HOLDER_MASK;
    if (holder === FREE || holder >= POISONED) return 0;
    note(holder, 1);
    return 1;
  }

  /** @internal */
  override armRing(): boolean {
    const { words } = this;
    const state = loadAcquire(words, STATE);
    const holder = state & HOLDER_MASK;
    if (holder === POISONED) return false;
    // The first waiter takes the free lock: it was rung, or will be.
    if (holder === FREE || holder === ORPHANED) return !this.#mayTake();
    if (state < 0) return true;
    return compareExchange(words, STATE, state, state | WAITED) === state;
  }

  protected override onQueued(): void {
    if (this.#order === 'fair') this.beginQueueing();
  }

  protected override takeable(): number {
    const holder = loadAcquire(this.words, STATE) & HOLDER_MASK;
    return this.#order === 'fair' && (holder === FREE || holder === ORPHANED) ? 1 : 0;
  }

  /** Frees the lock of a dead thread. */
  protected override recoverDead(asker: Asker): boolean {
    const freed = this.waiters.recover(asker);
    const isFreed = this.#takeFromDead(asker);
    const holder = loadAcquire(this.words, STATE) & HOLDER_MASK;
    if (holder === FREE || holder === ORPHANED) this.waiters.ringFirst();
    return freed > 0 || isFreed;
  }

  /** A dead thread that waits keeps newcomers from a 'fair' lock. */
  protected override freeDead(): boolean {
    return this.#takeFromDead(BY_TICK) || (this.#order === 'fair' && super.freeDead());
  }

  protected override passRingOn(): void {
    // If this thread has taken the lock with WAITED, its unlock() rings.
    if (loadAcquire(this.words, STATE) !== (this.badge | WAITED)) this.waiters.ringFirst();
  }

  protected override inherit(): void {}

  #trySlowly(): 'acquired' | 'busy' | 'poisoned' {
    const result = this.#take(FREE);
    return result === BUSY && this.looks() ? this.#take(FREE) : result;
  }

  /** Tries for a moment, in case the lock becomes free: waking a sleeper takes far longer. */
  #spin(): 'acquired' | 'busy' | 'poisoned' {
    for (let i = 0; i < SPINS; i++) {
      if (loadAcquire(this.words, STATE) !== FREE) continue;
      const result = this.#take(FREE);
      if (result !== BUSY) return result;
    }
    return BUSY;
  }

  /** One attempt of a waiting caller. Others may still sleep, so it takes the lock with WAITED. */
  readonly #attempt = (): 'acquired' | 'busy' | 'poisoned' => {
    this.pool.checkAttached();
    const result = this.#take(this.isWaiting ? WAITED : FREE);
    if (result === 'acquired' && this.isWaiting && !this.line.isEmpty) this.waiters.renew();
    return result;
  };

  /** Takes the lock if it is free. Sets the bit WAITED if `waited` or the STATE before has it. */
  #take(waited: number): 'acquired' | 'busy' | 'poisoned' {
    // If a call threw once the lock is taken, no caller would unlock it.
    ensureStep();
    const { words, badge } = this;
    for (;;) {
      const state = loadAcquire(words, STATE);
      const holder = state & HOLDER_MASK;
      if (holder === POISONED) return 'poisoned';
      if (holder !== FREE && holder !== ORPHANED) return BUSY;
      if (!this.#mayTake()) return BUSY;
      // SYNC(sync-state): sees what the last holder wrote; pairs with unlock().
      const taken = badge | (state & WAITED) | waited;
      if (compareExchange(words, STATE, state, taken) !== state) continue;
      this.#ownerDied = holder === ORPHANED;
      this.waiters.passed = NOT_WAITING;
      return 'acquired';
    }
  }

  /** True if this object may take the lock when it is free. */
  #mayTake(): boolean {
    return this.#order !== 'fair' || this.waiters.isNext(this.isWaiting);
  }

  #unlockWaited(before: number): void {
    const { words, badge, waiters } = this;
    if (before !== (badge | WAITED)) {
      throw new BusbarError('ERR_BUSBAR_NOT_OWNER', 'unlock');
    }
    ensureStep();
    const isFair = this.#order === 'fair';
    // While this thread has the lock: none that begins to wait now is overtaken.
    if (isFair && waiters.isEmpty && !this.stopsQueueing()) {
      // SYNC(sync-state): publishes what this thread wrote.
      if (compareExchange(words, STATE, badge, FREE) === badge) return;
    }
    // SYNC(sync-state): publishes what this thread wrote.
    if (compareExchange(words, STATE, before, isFair ? WAITED : FREE) !== before) {
      throw new BusbarError('ERR_BUSBAR_NOT_OWNER', 'unlock');
    }
    waiters.owe();
  }

  /** Frees, or poisons, the lock of a dead holder. Returns whether it did. */
  #takeFromDead(asker: Asker): boolean {
    const { words } = this;
    for (;;) {
      const state = loadAcquire(words, STATE);
      const holder = state & HOLDER_MASK;
      if (holder === FREE || holder >= POISONED || holder === this.badge) return false;
      if (!this.pool.isBadgeGone(holder, asker)) return false;
      const poisons = this.#onOwnerDeath === 'poison';
      const next = poisons ? POISONED : ORPHANED | (state & WAITED);
      if (compareExchange(words, STATE, state, next) !== state) continue;
      if (poisons) this.waiters.ringAll();
      return true;
    }
  }

  #checkHeld(): void {
    this.pool.checkAttached();
    if (!this.isHeld) throw new BusbarError('ERR_BUSBAR_NOT_OWNER');
  }

  #guard(result: string, what: string, options: WaitOptions | undefined): Guard {
    if (result !== 'acquired') throw givenUp(result, what, options);
    return new Guard(this.#unlock, this.#ownerDied);
  }

  readonly #unlock = (): void => this.unlock();
}

describeAs(Mutex, 'Mutex', (mutex) => ({ state: mutex.state }));
