// SPDX-License-Identifier: MIT
/** `Once`: one thread makes something; all others find it made. */

import { loadAcquire, type Words } from '../base/atomics.ts';
import {
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkTimeoutMs,
} from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStack, ensureStep } from '../base/stack.ts';
import { Packet } from '../packet/index.ts';
import type { BufferId, BufferPool, WaitOptions } from '../pool/index.ts';
import {
  TRANSIT_ID,
  TRANSIT_LENGTH,
  TRANSIT_MARK,
  TRANSIT_OFFSET,
} from '../pool/transit-layout.ts';
import { DIED, DONE, FAILED, MADE, OPEN, PHASE, RUNNING, RUNS } from './phase-layout.ts';
import { nameOf, Phased } from './phased.ts';
import { BUSY, type GivenUp } from './primitive.ts';
import { createSyncBlock, handleOf, openSyncBlock, type SyncHandle } from './sync-block.ts';
import { HEADER_CHOICES, STATE, TAG, WAITED } from './sync-layout.ts';

/** What becomes of a once that a thread has failed to make. */
export type OnceError = (typeof ERRORS)[number];

const ERRORS = ['retry', 'poison'] as const;

/** Options of a once. */
export interface OnceOptions {
  /**
   * 'retry' (default): after a function that threw, the next caller tries again. 'poison': no
   * caller does, ever.
   */
  readonly onError?: OnceError;
}

/** With this, another thread attaches to the once. */
export type OnceHandle = SyncHandle<'once'>;

/** What a once is made of: an integer of 32 bits, or bytes. `undefined` counts as 0. */
export type OnceResult = number | Packet | undefined;

/**
 * Something that one thread of a pool makes, at most once: a 32-bit integer that says what or where
 * it is, or a packet.
 *
 * If the thread that makes it dies, the next caller makes it, and `ownerDied` tells it that
 * something may be half made.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { Once } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const once = Once.create(pool);
 * const table = new Int32Array(new SharedArrayBuffer(1024));
 * const result = await once.run(() => {
 *   table.fill(7);
 *   return table.length;
 * });
 * if (result !== 'done' || once.value !== 256) throw new Error('not made');
 * if (once.runSync(() => table.length) !== 'done') throw new Error('it was made already');
 * ```
 */
export class Once extends Phased {
  readonly #poisons: boolean;
  #ownerDied: boolean;

  private constructor(pool: BufferPool, words: Words) {
    super(pool, words);
    this.#poisons = ERRORS[words[HEADER_CHOICES]] === 'poison';
    this.#ownerDied = false;
    if (this.deadlocks !== undefined) this.tryBegin = this.noting(this.tryBegin);
  }

  /**
   * Makes a once between threads of a pool. **Cost** 128 bytes for each thread the pool has room
   * for, and 512. **Throws** TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool, options: OnceOptions = {}): Once {
    const own = checkOptions('options', options, ['onError']);
    const onError = checkOneOf('onError', own.onError ?? 'retry', ERRORS);
    return new Once(pool, createSyncBlock(pool, 'once', [ERRORS.indexOf(onError)]));
  }

  /** Joins a once by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: OnceHandle): Once {
    return new Once(pool, openSyncBlock(pool, 'once', handle));
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): OnceHandle {
    return handleOf('once', this.words);
  }

  /**
   * 'begun': this thread makes it, and then calls {@link finish} or {@link fail}. 'done': it is
   * made. 'busy': a thread makes it.
   *
   * **Cost** one load once it is made, no allocation. **Throws** ERR_BUSBAR_DETACHED.
   */
  tryBegin(): 'begun' | 'done' | 'busy' | 'poisoned' {
    // SYNC(sync-state): sees what was made; pairs with finish().
    if ((loadAcquire(this.words, STATE) & PHASE) === DONE) return 'done';
    const result = this.#attempt();
    return result === BUSY && this.looks() ? this.#attempt() : result;
  }

  /**
   * As {@link tryBegin}, but blocks this thread and its event loop while another one makes it.
   *
   * **Throws** ERR_BUSBAR_DEADLOCK if this thread makes it: it would wait for itself.
   */
  beginSync(timeoutMs: number = Infinity): 'begun' | 'done' | 'timeout' | 'poisoned' {
    checkTimeoutMs('timeoutMs', timeoutMs);
    const now = this.tryBegin();
    if (now !== BUSY) return now;
    if (this.isHeldHere) throw this.deadlock('beginSync');
    return this.untilSync(this.#attempt, undefined, timeoutMs);
  }

  /** As {@link beginSync}, without blocking. Keeps the event loop alive. */
  begin(options?: WaitOptions): Promise<'begun' | 'done' | 'poisoned' | GivenUp> {
    return this.until(this.#attempt, undefined, options, 'begin');
  }

  /**
   * It is made; all that wait are woken, and see everything that this thread wrote.
   *
   * **Ownership** a packet is the once's on success, for as long as the pool exists; still the
   * caller's if this throws. **Throws** ERR_BUSBAR_NOT_OWNER if this thread does not make it;
   * TypeError, RangeError, ERR_BUSBAR_DETACHED; what {@link Packet.moveInto} throws.
   */
  finish(value: OnceResult = 0): void {
    const isPacket = value instanceof Packet;
    if (!isPacket) checkInteger('value', value, -(2 ** 31), 2 ** 31 - 1);
    ensureStack();
    this.#forget('finish');
    if (isPacket) {
      if (value.pool !== this.pool) throw new TypeError('value must be a packet of its pool');
      this.words[TAG] = value.length;
      this.pool.share(value.bufferId);
      value.moveInto(this.words, MADE);
    } else this.words[TAG] = value;
    this.endRun(DONE, 0, 'finish');
  }

  /** It was not made: the next caller tries, or none ever, as it was created. */
  fail(): void {
    this.#forget('fail');
    this.endRun(this.#poisons ? FAILED : OPEN, 0, 'fail');
  }

  /**
   * Calls `make` unless it is made, or being made; its result is the {@link value}.
   *
   * **Throws** what `make` throws, after {@link fail}; what {@link finish} throws.
   */
  tryRun(make: () => OnceResult): 'done' | 'busy' | 'poisoned' {
    return this.#run(make) as 'done' | 'busy' | 'poisoned';
  }

  /** {@link tryRun} that waits as {@link beginSync}. **Throws** as both. */
  runSync(make: () => OnceResult, timeoutMs: number = Infinity): 'done' | 'timeout' | 'poisoned' {
    const limit = checkTimeoutMs('timeoutMs', timeoutMs);
    return this.#run(make, limit) as 'done' | 'timeout' | 'poisoned';
  }

  /** {@link tryRun} that waits as {@link begin}; `make` may be asynchronous. **Throws** as both. */
  async run(
    make: () => OnceResult | Promise<OnceResult>,
    options?: WaitOptions,
  ): Promise<'done' | 'poisoned' | GivenUp> {
    checkFunction('make', make);
    const result = await this.begin(options);
    if (result !== 'begun') return result;
    let made: OnceResult;
    try {
      made = await make();
      this.finish(made);
    } catch (error) {
      this.#failIfHeld(made);
      throw error;
    }
    return 'done';
  }

  /** What {@link finish} was called with, or the bytes of its packet; undefined before. */
  get value(): number | undefined {
    return this.phase === DONE ? this.words[TAG] : undefined;
  }

  /**
   * The bytes that were made; undefined if it is not made, or of an integer.
   *
   * **Ownership** the packet is the caller's, to release. All threads' packets are the same bytes:
   * do not write to them. **Cost** as {@link Packet.clone}; a read-modify-write if this thread
   * holds no other. **Throws** ERR_BUSBAR_DETACHED.
   */
  tryPacket(): Packet | undefined {
    const { pool, words } = this;
    if (!pool.isAttached) pool.checkAttached();
    if (this.phase !== DONE || words[MADE + TRANSIT_MARK] === 0) return undefined;
    ensureStep();
    const id = words[MADE + TRANSIT_ID] as BufferId;
    // The reference in the words keeps the buffer alive: it is never moved out after DONE.
    pool.retainShared(id);
    return Packet.within(pool, id, words[MADE + TRANSIT_OFFSET], words[MADE + TRANSIT_LENGTH]);
  }

  /** True if a thread has died that was making it: when this object last began to make it. */
  get ownerDied(): boolean {
    return this.#ownerDied;
  }

  /** What has become of it; it may have changed when the caller sees it. */
  get state(): 'open' | 'running' | 'done' | 'poisoned' {
    return nameOf(this.phase, 'poisoned') as 'open' | 'running' | 'done' | 'poisoned';
  }

  /** @internal */
  override holders(note: (badge: number, units: number) => void): number {
    if (this.phase !== RUNNING) return 0;
    this.waiters.forEachHolder((badge) => note(badge, 1));
    return 1;
  }

  protected override isPending(state: number): boolean {
    return (state & PHASE) === RUNNING;
  }

  protected override withoutDead(state: number, held: number): number {
    if ((state & PHASE) !== RUNNING || (held & RUNS) === 0) return state;
    return OPEN | (state & WAITED);
  }

  readonly #attempt = (): 'begun' | 'done' | 'busy' | 'poisoned' => {
    this.pool.checkAttached();
    for (;;) {
      const state = loadAcquire(this.words, STATE);
      const phase = state & PHASE;
      if (phase === DONE) return 'done';
      if (phase === FAILED) return 'poisoned';
      if (phase === RUNNING) return BUSY;
      // Others may still sleep.
      const next = RUNNING | (this.isWaiting ? WAITED : state & WAITED);
      if (!this.swap(state, next, RUNS)) continue;
      this.#ownerDied = (state & DIED) !== 0;
      return 'begun';
    }
  };

  /** Waits at most `timeoutMs`; not at all if that is undefined. */
  #run(make: () => OnceResult, timeoutMs?: number): 'done' | 'busy' | 'timeout' | 'poisoned' {
    checkFunction('make', make);
    const { phase, pool } = this;
    if (phase === DONE) return 'done';
    if (!pool.isAttached) pool.checkAttached();
    // The check of the stack takes far longer than all the rest.
    if (phase === RUNNING && timeoutMs === undefined && !this.looks()) return BUSY;
    ensureStack();
    const result = timeoutMs === undefined ? this.tryBegin() : this.beginSync(timeoutMs);
    if (result !== 'begun') return result;
    let made: OnceResult;
    try {
      made = make();
      this.finish(made);
    } catch (error) {
      this.#failIfHeld(made);
      throw error;
    }
    return 'done';
  }

  /** Releases the packet of a thread that died, or threw, after it had moved it in. */
  #forget(what: string): void {
    const { pool, words } = this;
    if (!pool.isAttached) pool.checkAttached();
    if (!this.isHeldHere) throw new BusbarError('ERR_BUSBAR_NOT_OWNER', what);
    if (words[MADE + TRANSIT_MARK] !== 0) pool.release(pool.moveFromWords(words, MADE));
  }

  #failIfHeld(made: OnceResult): void {
    try {
      // A proxy may throw.
      if (made instanceof Packet && made.buffer >= 0) made.release();
    } finally {
      // Unless `make` has detached, or has finished itself.
      if (this.pool.isAttached && this.isHeldHere) this.fail();
    }
  }
}

describeAs(Once, 'Once', (once) => ({ state: once.state, value: once.value }));
