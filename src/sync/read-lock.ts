// SPDX-License-Identifier: MIT
/** `ReadLock`: the side of a read-write lock that readers see; and what both sides share. */

import {
  compareExchange,
  compareExchangeThenStore,
  loadAcquire,
  loadSeqCst,
  storeSeqCst,
  type Words,
} from '../base/atomics.ts';
import { checkTimeoutMs, showMs } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { copyWaitOptions } from '../base/wait-guard.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import type { Asker } from '../pool/liveness.ts';
import { Guard } from './guard.ts';
import { BUSY, type GivenUp, givenUp, Primitive, SPINS } from './primitive.ts';
import { handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';
import {
  CLAIMED,
  CLAIMED_ORPHAN,
  FREE,
  HEADER_CHOICES,
  HELD,
  HOLDER,
  HOLDER_MASK,
  NOT_WAITING,
  ORPHANED,
  POISONED,
  READS,
  STATE,
  seatAt,
  WAITED,
  WRITING,
} from './sync-layout.ts';

/** With this, another thread attaches as a reader; the handle of the lock will do, too. */
export type ReadLockHandle = SyncHandle<'readLock' | 'rwlock'>;

/** How an attempt to get a read-write lock ends, or that it has to be repeated. */
type Attempt = 'acquired' | 'busy' | 'poisoned';

/**
 * A read-write lock for threads that only read: {@link RwLock.readOnly}, or attached by a handle of
 * its own. It only states that a thread means to read: the memory is shared, and nothing prevents
 * writing.
 *
 * **Threads** one object for each thread.
 */
export class ReadLock extends Primitive {
  /** First word of what this thread holds. */
  protected readonly held: number;
  readonly #reads: number;
  readonly #count: number;
  readonly #onWriterDeath: 'handOver' | 'poison';
  #ownerDied: boolean;

  /** @internal */
  constructor(pool: BufferPool, words: Words) {
    super(pool, words, 'first come');
    this.held = this.waiters.seat + HELD;
    this.#reads = this.waiters.seat + READS;
    this.#count = pool.maxThreads;
    this.#onWriterDeath = words[HEADER_CHOICES] !== 0 ? 'poison' : 'handOver';
    this.#ownerDied = false;
    this.waiters.join();
    if (this.deadlocks !== undefined) this.tryRead = this.noting(this.tryRead);
  }

  /** Joins a lock as a reader. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: ReadLockHandle): ReadLock {
    return new ReadLock(pool, openSyncBlock(pool, 'rwlock', handle, 'readLock'));
  }

  /** Other threads attach as readers with this; structured-cloneable. */
  get handle(): ReadLockHandle {
    return handleOf('readLock', this.words);
  }

  /**
   * Begins to read if no thread writes, or waits to.
   *
   * **Cost** one atomic store, one load, to words that other readers do not write; no allocation.
   * **Throws** ERR_BUSBAR_DETACHED.
   */
  tryRead(): 'acquired' | 'busy' | 'poisoned' {
    if (!this.pool.isAttached) this.pool.checkAttached();
    ensureStep();
    const { words } = this;
    const at = this.#reads;
    const reads = words[at];
    // SYNC(sync-reads): before the look at STATE; pairs with areReading(), after the claim.
    storeSeqCst(words, at, reads + 1);
    // SYNC(sync-state): sees what the last writer wrote.
    const state = loadSeqCst(words, STATE);
    if (state !== FREE) return this.#tryReadSlowly(state);
    this.#ownerDied = false;
    return 'acquired';
  }

  /**
   * Begins to read, blocking this thread and its event loop while other threads write, or wait for
   * it and came before. A thread that reads already may do so again at once.
   *
   * **Throws** ERR_BUSBAR_DEADLOCK if this thread writes: it would wait for itself.
   */
  readSync(timeoutMs: number = Infinity): 'acquired' | 'timeout' | 'poisoned' {
    checkTimeoutMs('timeoutMs', timeoutMs);
    const now = this.tryRead();
    if (now !== BUSY) return now;
    const { words } = this;
    if (words[this.held] === WRITING) this.failWaiting('readSync');
    for (let i = 0; i < SPINS; i++) {
      if (loadAcquire(words, STATE) === FREE) break;
    }
    return this.untilSync(this.#attempt, true, timeoutMs);
  }

  /**
   * Begins to read, waiting without blocking, behind all callers that came before. Keeps the event
   * loop alive.
   *
   * **Throws** (rejects) TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  read(options?: WaitOptions): Promise<'acquired' | 'poisoned' | GivenUp> {
    return this.until(this.#attempt, false, options, 'read');
  }

  /**
   * Ends what {@link tryRead}, {@link readSync} or {@link read} began, once.
   *
   * **Cost** as {@link tryRead}; if a thread waits to write, a ring. **Throws**
   * ERR_BUSBAR_NOT_OWNER if this thread does not read, ERR_BUSBAR_DETACHED.
   */
  unlockRead(): void {
    if (!this.pool.isAttached) this.pool.checkAttached();
    const { words } = this;
    const reads = words[this.#reads];
    if (reads === 0) throw new BusbarError('ERR_BUSBAR_NOT_OWNER', 'unlockRead');
    ensureStep();
    // SYNC(sync-reads): a writer that sees it may write what this thread has read.
    storeSeqCst(words, this.#reads, reads - 1);
    const state = loadSeqCst(words, STATE);
    if (state !== FREE) this.#oweWriter(state);
  }

  /** {@link tryRead} as a guard; undefined if it is 'busy'. **Throws** as {@link readGuard}. */
  tryReadGuard(): Guard | undefined {
    ensureStep();
    const result = this.tryRead();
    return result === BUSY ? undefined : this.#guard(result, 'tryReadGuard', undefined);
  }

  /** {@link readSync} as a guard. **Throws** as {@link readGuard}, ERR_BUSBAR_DEADLOCK. */
  readGuardSync(timeoutMs: number = Infinity): Guard {
    ensureStep();
    return this.#guard(this.readSync(timeoutMs), `readGuardSync, ${showMs(timeoutMs)}`, undefined);
  }

  /**
   * {@link read} as a guard.
   *
   * **Throws** (rejects) ERR_BUSBAR_TIMEOUT, `signal.reason`, ERR_BUSBAR_POISONED,
   * ERR_BUSBAR_DETACHED.
   */
  async readGuard(options?: WaitOptions): Promise<Guard> {
    const own = copyWaitOptions(options);
    return this.#guard(await this.read(own), 'readGuard', own);
  }

  /** True while this thread reads. */
  get isReading(): boolean {
    this.pool.checkAttached();
    return this.words[this.#reads] > 0;
  }

  /**
   * True if a thread has died while it wrote, and none has written since: when this object last got
   * the lock. What it protects may be half changed.
   */
  get ownerDied(): boolean {
    return this.#ownerDied;
  }

  /** What threads do with the lock; it may have changed when the caller sees it. */
  get state(): 'free' | 'reading' | 'writing' | 'poisoned' {
    const holder = loadAcquire(this.words, STATE) & HOLDER_MASK;
    if (holder === POISONED) return 'poisoned';
    // A writer that waits for readers has claimed it already.
    if (this.areReading()) return 'reading';
    return isFree(holder) ? 'free' : 'writing';
  }

  /** @internal */
  override get isHeldHere(): boolean {
    return this.words[this.#reads] > 0 || this.words[this.held] === WRITING;
  }

  /** @internal A thread that has claimed the lock waits for all readers, the others for it. */
  override holders(note: (badge: number, units: number) => void): number {
    const { words } = this;
    const holder = loadAcquire(words, STATE) & HOLDER_MASK;
    if (isFree(holder) || holder === POISONED) return 0;
    if (holder !== this.badge) {
      note(holder, 1);
      return 1;
    }
    let need = 0;
    for (let seat = 0; seat < this.#count; seat++) {
      if (loadSeqCst(words, seatAt(seat) + READS) === 0) continue;
      note(loadAcquire(words, seatAt(seat) + HOLDER), 1);
      need++;
    }
    return need;
  }

  /** @internal */
  override armRing(): boolean {
    const { words } = this;
    const state = loadAcquire(words, STATE);
    const holder = state & HOLDER_MASK;
    if (holder === POISONED) return false;
    // The last reader rings.
    if (holder === this.badge && this.isClaimed) return this.areReading();
    if (isFree(holder)) return !this.waiters.isNext(this.isWaiting);
    if (state < 0) return true;
    return compareExchange(words, STATE, state, state | WAITED) === state;
  }

  protected override onQueued(): void {
    this.beginQueueing();
  }

  protected override takeable(): number {
    return isFree(loadAcquire(this.words, STATE) & HOLDER_MASK) ? 1 : 0;
  }

  /** Takes back what dead threads held. */
  protected override recoverDead(asker: Asker): boolean {
    const freed = this.waiters.recover(asker);
    const state = loadAcquire(this.words, STATE);
    if (isFree(state & HOLDER_MASK)) this.waiters.ringFirst();
    // Poisoned, or a writer that has waited for a dead reader.
    else if (freed > 0) this.waiters.ringAll();
    return freed > 0;
  }

  protected override passRingOn(): void {
    const { words, waiters } = this;
    this.dropClaim();
    const state = loadAcquire(words, STATE);
    if (!waiters.isEmpty) {
      // Where a thread writes and WAITED stands, its unlockWrite() rings.
      if (isFree(state & HOLDER_MASK) || state >= 0) waiters.ringFirst();
      return;
    }
    // If a thread writes, its unlockWrite() clears the bit.
    if (state < 0 && isFree(state & HOLDER_MASK) && this.stopsQueueing()) waiters.ringFirst();
  }

  /** Each change is one indivisible call, so another thread can continue if this one dies here. */
  protected override inherit(seat: number): void {
    const { words } = this;
    storeSeqCst(words, seat + READS, 0);
    for (;;) {
      const held = words[seat + HELD];
      if (held === 0) return;
      const state = loadAcquire(words, STATE);
      const isDead = held === WRITING && this.#onWriterDeath === 'poison';
      const next = held === CLAIMED ? FREE : isDead ? POISONED : ORPHANED;
      compareExchangeThenStore(words, STATE, state, next | (state & WAITED), seat + HELD, 0);
    }
  }

  /** True while this thread has its badge in STATE, and waits for readers. */
  protected get isClaimed(): boolean {
    const held = this.words[this.held];
    return held === CLAIMED || held === CLAIMED_ORPHAN;
  }

  /** True if any thread reads. **Cost** a load per thread of the pool. */
  protected areReading(): boolean {
    const { words } = this;
    for (let seat = 0; seat < this.#count; seat++) {
      // SYNC(sync-reads): after the claim; pairs with tryRead(). Sees that a reader has ended.
      if (loadSeqCst(words, seatAt(seat) + READS) !== 0) return true;
    }
    return false;
  }

  /** Gives up a claim, if there is one; the lock is then as it was before. */
  protected dropClaim(): void {
    // Detached, the seat may be another thread's.
    if (!this.pool.isAttached || !this.isClaimed) return;
    this.free(this.words[this.held] === CLAIMED ? FREE : ORPHANED);
  }

  /** Takes this thread's badge out of STATE, and rings the first waiter. */
  protected free(holder: number): void {
    const { words, waiters } = this;
    for (;;) {
      let state = loadAcquire(words, STATE);
      // While this thread has the lock: none that begins to wait now is overtaken.
      if (state < 0 && waiters.isEmpty && !this.stopsQueueing()) state &= ~WAITED;
      const next = holder | (state & WAITED);
      // SYNC(sync-state): publishes what this thread wrote; pairs with tryRead().
      if (compareExchangeThenStore(words, STATE, state, next, this.held, 0) !== state) continue;
      if (state < 0) waiters.owe();
      return;
    }
  }

  /** This object has the lock; `ownerDied` says from whom. */
  protected acquired(ownerDied: boolean): 'acquired' {
    this.#ownerDied = ownerDied;
    this.waiters.passed = NOT_WAITING;
    if (this.isWaiting && !this.line.isEmpty) {
      this.waiters.renew();
      this.waiters.owe();
    }
    return 'acquired';
  }

  protected failWaiting(what: string): never {
    throw this.deadlock(what);
  }

  /** A caller has counted up READS, and found STATE not FREE. */
  #tryReadSlowly(state: number): Attempt {
    const result = this.#settleRead(state, false);
    return result === BUSY && this.looks() ? this.#takeRead(false) : result;
  }

  readonly #attempt = (blocks: boolean): Attempt => {
    this.pool.checkAttached();
    // Left by a writer of this thread that has gone: no caller before this one waits.
    if (!blocks) this.dropClaim();
    return this.#takeRead(blocks);
  };

  #takeRead(blocks: boolean): Attempt {
    const { words } = this;
    ensureStep();
    const reads = words[this.#reads];
    // As in tryRead().
    storeSeqCst(words, this.#reads, reads + 1);
    return this.#settleRead(loadSeqCst(words, STATE), blocks);
  }

  /** Keeps the count in READS if `state`, seen after it, allows it; otherwise takes it back. */
  #settleRead(state: number, blocks: boolean): Attempt {
    const { words } = this;
    const holder = state & HOLDER_MASK;
    const isNext = isFree(holder) && this.waiters.isNext(this.isWaiting);
    if (isNext) return this.acquired(holder === ORPHANED);
    const reads = words[this.#reads];
    if (blocks && holder !== POISONED) {
      // The thread cannot end its other read, nor use its claim, while it blocks.
      if (reads > 1) return this.acquired(this.#ownerDied);
      if (holder === this.badge && this.isClaimed) {
        return this.acquired(words[this.held] === CLAIMED_ORPHAN);
      }
    }
    storeSeqCst(words, this.#reads, reads - 1);
    const now = loadSeqCst(words, STATE);
    // It looks again anyway if it is this thread.
    if ((now & HOLDER_MASK) !== this.badge) this.#oweWriter(now);
    return holder === POISONED ? 'poisoned' : BUSY;
  }

  /** Rings the writer that may wait until this thread does not read. */
  #oweWriter(state: number): void {
    const holder = state & HOLDER_MASK;
    if (isFree(holder) || holder === POISONED || this.words[this.#reads] !== 0) return;
    this.waiters.oweThread(holder);
  }

  #guard(result: string, what: string, options: WaitOptions | undefined): Guard {
    if (result !== 'acquired') throw givenUp(result, what, options);
    return new Guard(this.#unlockRead, this.#ownerDied);
  }

  readonly #unlockRead = (): void => this.unlockRead();
}

export function isFree(holder: number): boolean {
  return holder === FREE || holder === ORPHANED;
}

describeAs(ReadLock, 'ReadLock', (lock) => ({ state: lock.state }));
