// SPDX-License-Identifier: MIT
/** WaitLine: the callers of one thread that wait for the same thing, first come, first served. */

import { checkTimeoutMs } from '../base/check.ts';
import { nowMs, startTicking, stopTimer, type Timer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { type Linked, LinkedList } from '../base/linked-list.ts';
import { ensureStack } from '../base/stack.ts';
import {
  NO_LIMITS,
  resolveWaitOptions,
  WaitGuard,
  type WaitLimits,
  type WaitOptions,
} from '../base/wait-guard.ts';
import type { BufferPool } from './buffer-pool.ts';

/**
 * A waiter checks again after this time without a ring: other threads may have died, or a dying
 * thread may have failed to ring.
 */
export const TICK_MS = 50;

/**
 * So long after a wait the next one needs less stack. An engine forgets compiled code after several
 * collections of the whole heap in which it was not used.
 */
const WARM_MS = 100;

/** What a line needs of the object that is waited for: the end of a channel, a lock. */
export interface Waitable {
  readonly pool: BufferPool;
  /**
   * True: a caller that blocks is served before callers of its thread that wait by a promise. They
   * could neither use nor give back what they get while the thread is blocked.
   */
  readonly mayOvertake: boolean;
  /** What is waited for, in the error of a time-out. */
  readonly nameInErrors?: string;
  /** Shows other threads whether a caller waits here. */
  setWaiting(isWaiting: boolean): void;
  /** Asks to be rung. False: try again first. */
  armRing(): boolean;
  /**
   * Cleans up after dead threads; throws if no thread is left to wait for. `isLast`: the wait ends
   * by its limit, and no caller is left whose ticks would do this.
   */
  checkPeers(isLast?: boolean): void;
}

/** A waiting caller. */
interface Caller extends Linked<Caller> {
  /** True once it has what it waits for; throws if it never will. */
  readonly attempt: () => boolean;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  guard: WaitGuard | undefined;
  /** Why it has left the line, if that was while its attempt ran. */
  reason: unknown;
}

/** The callers of one object that wait, first come, first served. */
export class WaitLine {
  readonly #end: Waitable;
  readonly #callers = new LinkedList<Caller>();
  #ticking: Timer | undefined;
  /** The caller whose attempt runs. */
  #trying: Caller | undefined;
  /** When the last caller left the line. */
  #settledMs = -Infinity;
  readonly #name = (): string => this.#end.nameInErrors ?? '';

  constructor(end: Waitable) {
    this.#end = end;
  }

  /** True if no caller waits: a new one may try at once. */
  get isEmpty(): boolean {
    return this.#callers.isEmpty;
  }

  /** Repeats `attempt` until it succeeds, without blocking. Keeps the event loop alive. */
  async until(
    attempt: () => boolean,
    options: WaitOptions | undefined,
    what: string,
  ): Promise<void> {
    const limits = resolveWaitOptions(options);
    if (this.isEmpty && attempt()) return;
    await this.join(attempt, limits, what);
  }

  /** {@link until} for a caller that has tried, if it may, and waits now behind the others. */
  join(attempt: () => boolean, limits: WaitLimits, what: string): Promise<void> {
    // What a wait calls was compiled for an earlier one, and is not forgotten so soon.
    ensureStack(limits === NO_LIMITS && nowMs() - this.#settledMs < WARM_MS);
    return new Promise<void>((resolve, reject) => {
      const caller: Caller = {
        attempt,
        resolve,
        reject,
        guard: undefined,
        reason: undefined,
        list: undefined,
        previous: undefined,
        next: undefined,
      };
      const giveUp = (reason: unknown): void => this.#expire(caller, reason);
      caller.guard = new WaitGuard(limits, what, giveUp, this.#name);
      this.#enqueue(caller);
    });
  }

  /** Repeats `attempt` until it succeeds, blocking this thread. False after `timeoutMs`. */
  untilSync(attempt: () => boolean, timeoutMs: number): boolean {
    checkTimeoutMs('timeoutMs', timeoutMs);
    const { mayOvertake } = this.#end;
    if ((mayOvertake || this.isEmpty) && attempt()) return true;
    // Checked now, since an exception after a successful attempt would lose its result.
    ensureStack();
    const wasWaiting = !this.isEmpty;
    // Few readings: on Node 20 and 22 each makes an object.
    let now = nowMs();
    const deadline = now + timeoutMs;
    let nextTick = now + TICK_MS;
    try {
      for (;;) {
        this.#end.setWaiting(true);
        // Earlier callers are served first, though their promises settle only later.
        if (!mayOvertake) this.pump();
        if ((mayOvertake || this.isEmpty) && attempt()) return true;
        if (now >= deadline) {
          // Waits that are shorter than a tick, one after another, must learn of a death, too.
          this.#end.checkPeers(true);
          return false;
        }
        if (now >= nextTick) {
          this.#end.checkPeers();
          nextTick = now + TICK_MS;
        }
        if (this.#end.armRing()) {
          this.#end.pool.doorbell.parkSync(Math.min(deadline, nextTick) - now);
        }
        now = nowMs();
      }
    } finally {
      if (!wasWaiting || this.isEmpty) this.#end.setWaiting(false);
    }
  }

  /** Serves as many callers as possible now; asks to be rung for the next one. */
  pump(): void {
    for (;;) {
      const caller = this.#callers.first;
      if (caller === undefined) return;
      const outer = this.#trying;
      this.#trying = caller;
      try {
        if (caller.attempt()) {
          caller.resolve();
          this.#settle(caller);
        } else if (caller.list === undefined) caller.reject(caller.reason);
        else if (this.#end.armRing()) return;
      } catch (error) {
        this.#settle(caller);
        caller.reject(error);
      } finally {
        this.#trying = outer;
      }
    }
  }

  /** Rejects every waiting caller. */
  refuse(error: unknown): void {
    for (;;) {
      const caller = this.#callers.first;
      if (caller === undefined) return;
      this.#reject(caller, error);
    }
  }

  #enqueue(caller: Caller): void {
    try {
      this.#callers.push(caller);
      this.#ticking ??= startTicking(TICK_MS, () => this.#tick());
      this.#end.setWaiting(true);
      this.pump();
    } catch (error) {
      // Otherwise it could take a message for a caller that has left.
      this.#reject(caller, error);
    }
  }

  #tick(): void {
    try {
      this.#end.pool.checkAttached();
      this.pump();
      if (!this.isEmpty) this.#end.checkPeers();
    } catch (error) {
      this.refuse(error);
    }
  }

  /**
   * A limit ends the wait of a caller; or, if a death is found at that moment, the error that later
   * waits end with, too.
   */
  #expire(caller: Caller, reason: unknown): void {
    try {
      // As in untilSync(); while others wait there are ticks.
      const isAlone = caller.previous === undefined && caller.next === undefined;
      if (isAlone && caller !== this.#trying) this.#end.checkPeers(true);
    } catch (error) {
      // Anything else, as a full stack, says nothing about the peers: the next wait looks again.
      if (BusbarError.isOne(error)) this.refuse(error);
    }
    this.#reject(caller, reason);
  }

  /** Rejects a caller, unless it has left the line. */
  #reject(caller: Caller, reason: unknown): void {
    if (!this.#settle(caller)) return;
    // An attempt may call code that ends the wait, a signal's say, and still succeed.
    if (caller === this.#trying) caller.reason = reason;
    else caller.reject(reason);
  }

  /** Takes a caller out of the line. False if it has left already. */
  #settle(caller: Caller): boolean {
    if (!this.#callers.remove(caller)) return false;
    caller.guard?.end();
    this.#settledMs = nowMs();
    if (!this.isEmpty) return true;
    stopTimer(this.#ticking);
    this.#ticking = undefined;
    this.#end.setWaiting(false);
    return true;
  }
}
