// SPDX-License-Identifier: MIT
/** `Event`: threads wait until a thread sets it. */

import { compareExchange, fetchAnd, loadAcquire, type Words } from '../base/atomics.ts';
import { checkOneOf, checkOptions, checkTimeoutMs } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { ensureStack, ensureStep } from '../base/stack.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import type { Asker } from '../pool/liveness.ts';
import { BUSY, type GivenUp, Primitive, SPINS } from './primitive.ts';
import { createSyncBlock, handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';
import { EPOCH_MASK, EPOCH_STEP, HEADER_CHOICES, IS_SET, STATE, WAITED } from './sync-layout.ts';

/** Who resets an event. */
export type EventReset = (typeof RESETS)[number];

const RESETS = ['manual', 'auto'] as const;

/** Options of an event. */
export interface EventOptions {
  /**
   * 'manual' (default): it stays set until `reset()`, and lets every waiting thread through.
   * 'auto': it lets one wait through, which resets it.
   */
  readonly reset?: EventReset;
}

/** With this, another thread attaches to the event. */
export type EventHandle = SyncHandle<'event'>;

/**
 * A flag that threads of a pool wait for: set, or not.
 *
 * A manual event that is set and reset at once lets through every wait that had begun before. An
 * auto event lets one wait through each time it is set; while it is set, and no wait has used that
 * up, setting it again changes nothing.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { Event } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const ready = Event.create(pool);
 * const waiting = ready.wait({ timeoutMs: 1000 });
 * ready.set(); // in whatever thread
 * if ((await waiting) !== 'set') throw new Error('it did not come');
 * ```
 */
export class Event extends Primitive {
  /** Who resets it. */
  readonly resets: EventReset;
  readonly #isAuto: boolean;
  /** The epoch that the last unsuccessful attempt saw. */
  #epoch: number;

  private constructor(pool: BufferPool, words: Words) {
    super(pool, words, 'first come');
    this.resets = RESETS[words[HEADER_CHOICES]];
    this.#isAuto = this.resets === 'auto';
    this.#epoch = 0;
  }

  /**
   * Makes an event for the threads of a pool; it is not set. **Cost** 128 bytes for each thread the
   * pool has room for, and 512. **Throws** TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool, options: EventOptions = {}): Event {
    const own = checkOptions('options', options, ['reset']);
    const reset = checkOneOf('reset', own.reset ?? 'manual', RESETS);
    return new Event(pool, createSyncBlock(pool, 'event', [RESETS.indexOf(reset)]));
  }

  /** Joins an event by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: EventHandle): Event {
    return new Event(pool, openSyncBlock(pool, 'event', handle));
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): EventHandle {
    return handleOf('event', this.words);
  }

  /**
   * Sets the event, and wakes all threads that wait (manual), or the first (auto). 'already': it
   * was set, and nothing has changed.
   *
   * Threads that it lets through see everything that this thread wrote before.
   * **Cost** one load, one read-modify-write; if threads wait, a load per thread of the pool, and
   * rings. **Throws** ERR_BUSBAR_DETACHED.
   */
  set(): 'set' | 'already' {
    if (!this.pool.isAttached) this.pool.checkAttached();
    const { words, waiters } = this;
    ensureStep();
    for (;;) {
      const state = loadAcquire(words, STATE);
      if ((state & IS_SET) !== 0) return 'already';
      const next = ((state + EPOCH_STEP) & EPOCH_MASK) | IS_SET;
      // SYNC(sync-state): publishes what this thread wrote; pairs with #take().
      if (compareExchange(words, STATE, state, next) !== state) continue;
      if (state >= 0) return 'set';
      if (this.#isAuto) waiters.owe();
      else waiters.oweAll();
      return 'set';
    }
  }

  /** Makes the event not set; waits that begin from now on wait. **Throws** as {@link set}. */
  reset(): void {
    if (!this.pool.isAttached) this.pool.checkAttached();
    fetchAnd(this.words, STATE, ~IS_SET);
  }

  /** True if it is set now; a wait would end at once. */
  get isSet(): boolean {
    return (loadAcquire(this.words, STATE) & IS_SET) !== 0;
  }

  /** 'set' if it is set now; that resets an auto event. **Throws** as {@link set}. */
  tryWait(): 'set' | 'unset' {
    if (!this.pool.isAttached) this.pool.checkAttached();
    return this.#take(loadAcquire(this.words, STATE)) === BUSY ? 'unset' : 'set';
  }

  /** Waits until it is set, blocking this thread and its event loop. */
  waitSync(timeoutMs: number = Infinity): 'set' | 'timeout' {
    checkTimeoutMs('timeoutMs', timeoutMs);
    const began = loadAcquire(this.words, STATE);
    if (this.tryWait() === 'set') return 'set';
    for (let i = 0; i < SPINS; i++) {
      if ((loadAcquire(this.words, STATE) & IS_SET) !== 0) break;
    }
    return this.untilSync(this.#take, began, timeoutMs);
  }

  /**
   * Waits until it is set, without blocking. Keeps the event loop alive.
   *
   * **Throws** (rejects) TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  async wait(options?: WaitOptions): Promise<'set' | GivenUp> {
    ensureStack();
    const began = loadAcquire(this.words, STATE);
    return this.until(this.#take, began, options, 'wait');
  }

  /** @internal */
  override armRing(): boolean {
    const { words } = this;
    const state = loadAcquire(words, STATE);
    if ((state & IS_SET) !== 0 || (state & EPOCH_MASK) !== this.#epoch) return false;
    if (state < 0) return true;
    return compareExchange(words, STATE, state, state | WAITED) === state;
  }

  protected override recoverDead(asker: Asker): boolean {
    const freed = this.waiters.recover(asker);
    if (this.isSet) this.waiters.ringFirst();
    return freed > 0;
  }

  protected override passRingOn(): void {
    if (!this.#isAuto) return;
    // If the event is not set and the bit `waited` is, the next set() rings.
    const state = loadAcquire(this.words, STATE);
    if ((state & IS_SET) !== 0 || state >= 0) this.waiters.ringFirst();
  }

  protected override inherit(): void {}

  /** One attempt of a caller; `began` is the STATE when its wait began. */
  readonly #take = (began: number): 'set' | 'busy' => {
    this.pool.checkAttached();
    const { words } = this;
    for (;;) {
      // SYNC(sync-state): sees what the thread that set the event wrote before; pairs with set().
      const state = loadAcquire(words, STATE);
      const epoch = state & EPOCH_MASK;
      if (!this.#isAuto) {
        if ((state & IS_SET) !== 0 || epoch !== (began & EPOCH_MASK)) return 'set';
        this.#epoch = epoch;
        return BUSY;
      }
      if ((state & IS_SET) === 0) {
        this.#epoch = epoch;
        return BUSY;
      }
      // Others may still sleep: WAITED makes the next set() ring.
      const taken = epoch | (this.isWaiting ? WAITED : state & WAITED);
      if (compareExchange(words, STATE, state, taken) !== state) continue;
      if (this.isWaiting && !this.line.isEmpty) this.waiters.renew();
      return 'set';
    }
  };
}

describeAs(Event, 'Event', (event) => ({ resets: event.resets, isSet: event.isSet }));
