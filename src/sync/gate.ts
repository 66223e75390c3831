// SPDX-License-Identifier: MIT
/** `Gate`: threads wait until it is open; who enters may close it. */

import { loadAcquire, type Words } from '../base/atomics.ts';
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOptions,
  checkTimeoutMs,
} from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { ensureStep } from '../base/stack.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import { CLOSING, DIED, DONE, ENTRIES_MAX, OPEN, PHASE, RUNNING, RUNS } from './phase-layout.ts';
import { Phased } from './phased.ts';
import { BUSY, type GivenUp } from './primitive.ts';
import { createSyncBlock, handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';
import { HEADER_CHOICES, STATE, WAITED } from './sync-layout.ts';

/** Options of a gate. */
export interface GateOptions {
  /** After this many entries the gate closes: 1 … 2²⁷ − 1. Default: it stays open. */
  readonly batch?: number;
}

/** With this, another thread attaches to the gate. */
export type GateHandle = SyncHandle<'gate'>;

/** Gets the number of entries, this one included; returns whether the gate stays open. */
type Decide = (entries: number) => boolean;

/**
 * Lets threads of a pool through while it is open. It closes after a number of entries, or when
 * who enters decides so: for batches, say, of which the next begins when the gate is opened again.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { Gate } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const gate = Gate.create(pool, { batch: 2 });
 * gate.open();
 * if (gate.enterSync() !== 'entered') throw new Error('it is open');
 * if ((await gate.enter()) !== 'entered') throw new Error('it is open for two');
 * if (gate.tryEnter() !== 'closed') throw new Error('it is closed');
 * ```
 */
export class Gate extends Phased {
  /** The gate closes after this many entries. */
  readonly #batch: number;

  private constructor(pool: BufferPool, words: Words) {
    super(pool, words);
    this.#batch = words[HEADER_CHOICES];
  }

  /**
   * Makes a gate, closed. **Cost** 128 bytes for each thread the pool has room for, and 512.
   * **Throws** TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool, options: GateOptions = {}): Gate {
    const own = checkOptions('options', options, ['batch']);
    const batch = own.batch === undefined ? 0 : checkInteger('batch', own.batch, 1, ENTRIES_MAX);
    const words = createSyncBlock(pool, 'gate', [batch === 0 ? ENTRIES_MAX + 1 : batch]);
    words[STATE] = DONE;
    return new Gate(pool, words);
  }

  /** Joins a gate by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: GateHandle): Gate {
    return new Gate(pool, openSyncBlock(pool, 'gate', handle));
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): GateHandle {
    return handleOf('gate', this.words);
  }

  /**
   * Opens the gate; entries count from 0: one that is just decided belongs to the batch before.
   * Never waits. **Throws** ERR_BUSBAR_DETACHED.
   */
  open(): 'opened' | 'already' {
    if (!this.pool.isAttached) this.pool.checkAttached();
    ensureStep();
    for (;;) {
      const state = loadAcquire(this.words, STATE);
      const isInside = (state & PHASE) === RUNNING;
      if (isInside ? (state & CLOSING) === 0 : (state & PHASE) === OPEN) return 'already';
      const next = (state & WAITED) | (isInside ? RUNNING : OPEN);
      if (!this.swap(state, next, this.words[this.held])) continue;
      if (state < 0) this.waiters.owe();
      return 'opened';
    }
  }

  /**
   * Closes the gate. Never waits: a thread that is just deciding enters, and none after it.
   * **Throws** ERR_BUSBAR_DETACHED.
   */
  close(): 'closed' | 'already' {
    if (!this.pool.isAttached) this.pool.checkAttached();
    for (;;) {
      const state = loadAcquire(this.words, STATE);
      const phase = state & PHASE;
      if (phase === DONE || (phase === RUNNING && (state & CLOSING) !== 0)) return 'already';
      const next = phase === RUNNING ? state | CLOSING : state | DONE;
      if (this.swap(state, next, this.words[this.held])) return 'closed';
    }
  }

  /**
   * Enters if the gate is open. 'busy': another thread is just deciding.
   *
   * **Cost** one load, one read-modify-write, no allocation. **Throws** ERR_BUSBAR_DETACHED.
   */
  tryEnter(): 'entered' | 'closed' | 'busy' {
    return this.#tryEnter(undefined);
  }

  /**
   * Enters, blocking this thread and its event loop until the gate is open.
   *
   * **Throws** ERR_BUSBAR_DEADLOCK if this thread is deciding.
   */
  enterSync(timeoutMs: number = Infinity): 'entered' | 'timeout' {
    return this.#enterSync(undefined, timeoutMs);
  }

  /** Enters, waiting without blocking. Keeps the event loop alive. */
  enter(options?: WaitOptions): Promise<'entered' | GivenUp> {
    return this.until(this.#enterSoon, undefined, options, 'enter');
  }

  /**
   * {@link tryEnter} that decides, inside the gate, whether it stays open; no other thread enters
   * meanwhile.
   *
   * **Throws** what `decide` throws, and TypeError if it returns no boolean; the entry does not
   * count then.
   */
  tryDecide(decide: Decide): 'entered' | 'closed' | 'busy' {
    return this.#tryEnter(checkFunction('decide', decide));
  }

  /** {@link tryDecide} that waits as {@link enterSync}. **Throws** as both. */
  decideSync(decide: Decide, timeoutMs: number = Infinity): 'entered' | 'timeout' {
    return this.#enterSync(checkFunction('decide', decide), timeoutMs);
  }

  /** {@link tryDecide} that waits as {@link enter}. **Throws** (rejects) as both. */
  async decide(decide: Decide, options?: WaitOptions): Promise<'entered' | GivenUp> {
    checkFunction('decide', decide);
    return this.until(this.#enterSoon, decide, options, 'decide');
  }

  /** How many have entered since it was opened. */
  get entries(): number {
    return loadAcquire(this.words, STATE) & ENTRIES_MAX;
  }

  /** True while it is open; it may have changed when the caller sees it. */
  get isOpen(): boolean {
    const state = loadAcquire(this.words, STATE);
    return (state & PHASE) !== DONE && ((state & PHASE) === OPEN || (state & CLOSING) === 0);
  }

  protected override isPending(state: number): boolean {
    return (state & PHASE) !== OPEN;
  }

  protected override withoutDead(state: number, held: number): number {
    if ((state & PHASE) !== RUNNING || (held & RUNS) === 0) return state;
    return this.#after(state, true, -1);
  }

  #enterSync(decide: Decide | undefined, timeoutMs: number): 'entered' | 'timeout' {
    checkTimeoutMs('timeoutMs', timeoutMs);
    if (this.pool.isAttached && this.isHeldHere) {
      throw this.deadlock('enterSync');
    }
    const now = this.#enterSoon(decide);
    return now === BUSY ? this.untilSync(this.#enterSoon, decide, timeoutMs) : now;
  }

  readonly #enterSoon = (decide: Decide | undefined): 'entered' | 'busy' =>
    this.#enter(decide) === 'entered' ? 'entered' : BUSY;

  #tryEnter(decide: Decide | undefined): 'entered' | 'closed' | 'busy' {
    const result = this.#enter(decide);
    return result === BUSY && this.looks() ? this.#enter(decide) : result;
  }

  #enter(decide: Decide | undefined): 'entered' | 'closed' | 'busy' {
    if (!this.pool.isAttached) this.pool.checkAttached();
    const { words } = this;
    // From here to its end the entry must not be left half made.
    ensureStep();
    for (;;) {
      const state = loadAcquire(words, STATE);
      if ((state & PHASE) !== OPEN) return (state & PHASE) === DONE ? 'closed' : BUSY;
      const count = Math.min((state & ENTRIES_MAX) + 1, ENTRIES_MAX);
      const kept = state & (WAITED | DIED);
      const phase = count < this.#batch ? OPEN : DONE;
      if (decide === undefined) {
        if (!this.swap(state, kept | phase | count, words[this.held])) continue;
        return 'entered';
      }
      if (!this.swap(state, kept | RUNNING | count, RUNS)) continue;
      let stays: boolean;
      try {
        stays = checkBoolean('the result of decide', decide(count));
      } catch (error) {
        this.#end(true, -1);
        throw error;
      }
      this.#end(stays, 0);
      return 'entered';
    }
  }

  /** Ends a decision. */
  #end(stays: boolean, change: number): void {
    // Unless `decide` has detached.
    if (!this.pool.isAttached) return;
    for (;;) {
      const state = loadAcquire(this.words, STATE);
      const next = this.#after(state, stays, change);
      if (!this.swap(state, next, 0)) continue;
      if (state < 0 && (next & PHASE) === OPEN) this.waiters.owe();
      return;
    }
  }

  #after(state: number, stays: boolean, change: number): number {
    // None, if the gate was opened anew meanwhile: the batch that it was entered in is over.
    const count = Math.max(0, (state & ENTRIES_MAX) + change);
    const isOpen = stays && (state & CLOSING) === 0 && count < this.#batch;
    return (state & (WAITED | DIED)) | (isOpen ? OPEN : DONE) | count;
  }
}

describeAs(Gate, 'Gate', (gate) => ({ isOpen: gate.isOpen, entries: gate.entries }));
