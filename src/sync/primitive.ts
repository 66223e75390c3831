// SPDX-License-Identifier: MIT
/** `Primitive`: what every synchronization primitive does when a caller has to wait. */

import { fetchAnd, fetchOr, type Words } from '../base/atomics.ts';
import { checkMade } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStack, ensureStep } from '../base/stack.ts';
import { isWords } from '../base/views.ts';
import { checkWaitOptions } from '../base/wait-guard.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import { type Asker, BY_QUESTION, BY_TICK } from '../pool/liveness.ts';
import { WaitLine } from '../pool/wait-line.ts';
import { Deadlocks } from './deadlocks.ts';
import {
  HEADER_KIND,
  HEADER_NUMBER,
  NOT_WAITING,
  STATE,
  SYNC_KINDS,
  WAITED,
} from './sync-layout.ts';
import { Waiters, type WakeOrder } from './waiters.ts';

/** The result of an attempt that has to be repeated. */
export const BUSY = 'busy';

/** How often to look at STATE before sleeping: some microseconds, far less than a wake-up takes. */
export const SPINS = 200;

/** How a wait may end without success. */
export type GivenUp = 'timeout' | 'aborted';

/** A primitive as one thread sees it. */
// No `implements Waitable`: the package's declarations lack the members that are internal, and
// would not compile. `new WaitLine(this)` checks the same.
export abstract class Primitive {
  /** @internal */
  readonly pool: BufferPool;
  protected readonly words: Words;
  protected readonly badge: number;
  protected readonly waiters: Waiters;
  protected readonly line: WaitLine;
  /** True while this object is counted among the waiting ones of its thread. */
  protected isWaiting: boolean;
  /** Present only while the pool tracks leaks. */
  protected readonly deadlocks: Deadlocks | undefined;
  readonly #listener: () => void;
  /** What the call that blocks repeats, with what argument, and the last result. */
  #attempt: (argument: never) => string = () => BUSY;
  #argument: unknown;
  #result = '';
  /** Calls that do not wait, and have found nothing to take, modulo 8. */
  #tries = 0;

  protected constructor(pool: BufferPool, words: Words, order: WakeOrder) {
    checkMade(isWords(words), new.target);
    // Code of the caller may have run since it was checked. The seat may be another thread's then.
    pool.checkAttached();
    this.pool = pool;
    this.words = words;
    this.badge = pool.badge;
    this.waiters = new Waiters(pool, words, order, (seat) => this.inherit(seat));
    this.line = new WaitLine(this);
    this.isWaiting = false;
    this.deadlocks = Deadlocks.of(pool);
    this.#listener = () => this.#onRing();
  }

  /** @internal */
  get mayOvertake(): boolean {
    return true;
  }

  /**
   * Cleans up after dead threads; returns true if there was anything to clean up. Waiting callers
   * do this every 50 ms; if you call it when a worker has exited, they continue at once.
   */
  recover(): boolean {
    ensureStack();
    this.pool.checkAttached();
    return this.recoverDead(BY_QUESTION);
  }

  /** @internal Asks to be rung. False: try again before sleeping. */
  abstract armRing(): boolean;

  /** @internal Its kind, and where leaks are tracked a number. */
  get label(): string {
    return `${SYNC_KINDS[this.words[HEADER_KIND] - 1]} ${this.words[HEADER_NUMBER]}`;
  }

  /** @internal */
  get isHeldHere(): boolean {
    return false;
  }

  /** @internal See `deadlocks.ts`. */
  holders(_note: (badge: number, units: number) => void): number {
    return 0;
  }

  /** @internal */
  checkPeers(isLast: boolean = false): void {
    this.pool.checkAttached();
    this.recoverDead(BY_TICK);
    if (isLast) return;
    // Soon: later, the threads before this one might be awake.
    if (this.waiters.tick(this.takeable())) this.pool.doorbell.ringHere();
    this.deadlocks?.tick(this);
  }

  /** @internal */
  setWaiting(isWaiting: boolean): void {
    if (this.isWaiting === isWaiting || !this.pool.isAttached) return;
    if (isWaiting) {
      this.waiters.beginWait();
      this.isWaiting = true;
      this.pool.doorbell.listen(this.#listener);
      this.onQueued();
    } else {
      this.waiters.endWait();
      this.isWaiting = false;
      this.pool.doorbell.ignore(this.#listener);
      this.passRingOn();
    }
  }

  /** Called when this object has begun to wait. */
  protected onQueued(): void {}

  /** How many units are free, if that is enough for this object, and others come first; or 0. */
  protected takeable(): number {
    return 0;
  }

  /**
   * For a method that does not wait, and has found nothing to take: looks for deaths, at one call
   * in 8, the first included. True: something may have become free. A look reads a clock, which
   * takes longer than all the rest, and on Node 20 and 22 makes an object.
   */
  protected looks(): boolean {
    this.#tries = (this.#tries + 1) & 7;
    if (this.#tries !== 1) return false;
    ensureStep();
    if (!this.freeDead()) return false;
    this.waiters.oweAll();
    return true;
  }

  /** Takes what keeps a newcomer out from dead threads; returns whether there was any. */
  protected freeDead(): boolean {
    return this.waiters.recover(BY_TICK) > 0;
  }

  /** Cleans up after dead threads, and rings waiters for what became free. */
  protected abstract recoverDead(asker: Asker): boolean;

  /** Called when this object waits no longer: rings the next waiter if that may be due. */
  protected abstract passRingOn(): void;

  /** From now on newcomers queue behind this thread. */
  protected beginQueueing(): void {
    // SYNC(sync-state): after WAITING; pairs with stopsQueueing().
    fetchOr(this.words, STATE, WAITED);
  }

  /** @internal No thread seems to wait: newcomers need not queue. True if one waits after all. */
  protected stopsQueueing(): boolean {
    const { words, waiters } = this;
    // SYNC(sync-state): before another look at who waits.
    fetchAnd(words, STATE, ~WAITED);
    if (waiters.isEmpty) return false;
    fetchOr(words, STATE, WAITED);
    return true;
  }

  /** The error of a call that would wait for this thread itself. */
  protected deadlock(what: string): BusbarError {
    const where = this.deadlocks?.storyOf(this) || 'BUSBAR_TRACK_LEAKS=1 shows where';
    return new BusbarError('ERR_BUSBAR_DEADLOCK', `${what} of what this thread holds; ${where}`);
  }

  /** Gives back what the dead holder of a seat held. */
  protected abstract inherit(seat: number): void;

  /**
   * Repeats `attempt` until it does not return 'busy', blocking this thread. Makes no object: at
   * most one call of an object blocks, so what it repeats lies in fields.
   */
  protected untilSync<Argument, Result extends string>(
    attempt: (argument: Argument) => Result | typeof BUSY,
    argument: Argument,
    timeoutMs: number,
  ): Result | 'timeout' {
    this.#attempt = attempt;
    this.#argument = argument;
    this.#result = BUSY;
    const { deadlocks } = this;
    const wait = deadlocks?.begin(this, false, timeoutMs === Infinity);
    try {
      return this.line.untilSync(this.#step, timeoutMs) ? (this.#result as Result) : 'timeout';
    } finally {
      this.#argument = undefined;
      if (wait !== undefined) deadlocks?.end(wait, this.#result);
    }
  }

  readonly #step = (): boolean => {
    // For all of the attempt: if a call threw after its success, the result would be lost.
    ensureStep();
    this.#result = this.#attempt(this.#argument as never);
    this.waiters.passed = NOT_WAITING;
    return this.#result !== BUSY;
  };

  /** Repeats `attempt` until it does not return 'busy'. Keeps the event loop alive. */
  protected async until<Argument, Result extends string>(
    attempt: (argument: Argument) => Result | typeof BUSY,
    argument: Argument,
    options: WaitOptions | undefined,
    what: string,
  ): Promise<Result | GivenUp> {
    const limits = checkWaitOptions(options);
    const { signal, timeoutMs } = limits;
    if (signal?.aborted === true) return 'aborted';
    let result: Result | typeof BUSY = BUSY;
    let isTrying = false;
    const { deadlocks, line, waiters } = this;
    const isForEver = signal === undefined && timeoutMs === Infinity;
    const wait = deadlocks?.begin(this, true, isForEver);
    try {
      const step = (): boolean => {
        ensureStep();
        // What an attempt calls may begin a wait of its own, which tries this one again.
        const wasTrying = isTrying;
        isTrying = true;
        result = attempt(argument);
        isTrying = wasTrying;
        waiters.passed = NOT_WAITING;
        return result !== BUSY;
      };
      if (!line.isEmpty || !step()) await line.join(step, limits, what);
    } catch (error) {
      // Not the end of the wait, but what a function of the caller threw, whatever it was.
      if (isTrying) throw error;
      if (signal !== undefined && error === signal.reason) return 'aborted';
      if (BusbarError.isOne(error) && error.code === 'ERR_BUSBAR_TIMEOUT') return 'timeout';
      throw error;
    } finally {
      if (wait !== undefined) deadlocks?.end(wait, result);
    }
    return result as Result;
  }

  /** Where leaks are tracked: notes when a method that does not wait has got something. */
  protected noting<Arguments extends unknown[], Result>(
    attempt: (...values: Arguments) => Result,
  ): (...values: Arguments) => Result {
    return (...values) => {
      const result = attempt.apply(this, values);
      this.deadlocks?.got(this, result);
      return result;
    };
  }

  #onRing(): void {
    if (!this.line.isEmpty) this.line.pump();
  }
}

/** The error that a wait for a guard throws if it ended without success. */
export function givenUp(result: string, what: string, options: WaitOptions | undefined): unknown {
  if (result === 'aborted') return options?.signal?.reason;
  if (result === 'poisoned') return new BusbarError('ERR_BUSBAR_POISONED', what);
  if (result === 'disabled') return new BusbarError('ERR_BUSBAR_DISABLED', what);
  return new BusbarError('ERR_BUSBAR_TIMEOUT', what);
}
