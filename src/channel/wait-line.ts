// SPDX-License-Identifier: MIT
/** The room between threads: callers of one end that wait for room or for a message, in order. */

import { checkTimeoutMs } from '../base/check.ts';
import { nowMs, startTicking, stopTimer, type Timer } from '../base/clock.ts';
import { type Linked, LinkedList } from '../base/linked-list.ts';
import { ensureStack } from '../base/stack.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../base/wait-guard.ts';
import type { BufferPool } from '../pool/index.ts';

/**
 * How often somebody who waits looks again unasked: for the death of the other side, and for a ring
 * that a dying thread did not get to.
 */
export const TICK_MS = 50;

/** What waiting needs of the end of a channel. */
export interface Waitable {
  readonly pool: BufferPool;
  /** Says to the other side that somebody here waits, or no longer does. */
  setWaiting(isWaiting: boolean): void;
  /** Asks to be rung. False: look again first. */
  armRing(): boolean;
  /** Sees to what dead threads have left; throws if there is nobody left to wait for. */
  checkPeers(): void;
}

/** One caller that waits. */
interface Caller extends Linked<Caller> {
  /** True when it has what it waited for; throws when it never will. */
  readonly attempt: () => boolean;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  guard: WaitGuard | undefined;
}

/** The callers that wait at one end, first come, first served. */
export class WaitLine {
  readonly #end: Waitable;
  readonly #callers = new LinkedList<Caller>();
  #ticking: Timer | undefined;

  constructor(end: Waitable) {
    this.#end = end;
  }

  /** True if nobody waits: newcomers may try their luck at once. */
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
    ensureStack();
    await new Promise<void>((resolve, reject) => {
      const caller: Caller = {
        attempt,
        resolve,
        reject,
        guard: undefined,
        list: undefined,
        previous: undefined,
        next: undefined,
      };
      caller.guard = new WaitGuard(limits, what, (reason) => this.#abandon(caller, reason));
      this.#enqueue(caller);
    });
  }

  /** Repeats `attempt` until it succeeds, blocking this thread. False after `timeoutMs`. */
  untilSync(attempt: () => boolean, timeoutMs: number): boolean {
    checkTimeoutMs('timeoutMs', timeoutMs);
    if (this.isEmpty && attempt()) return true;
    // From here on, nothing that is thrown may hide that an attempt has succeeded.
    ensureStack();
    const deadline = nowMs() + timeoutMs;
    const wasWaiting = !this.isEmpty;
    let nextTick = nowMs() + TICK_MS;
    try {
      for (;;) {
        this.#end.setWaiting(true);
        // Those who came before are served first, though their promises settle only later.
        this.pump();
        if (this.isEmpty && attempt()) return true;
        const now = nowMs();
        if (now >= deadline) return false;
        if (now >= nextTick) {
          this.#end.checkPeers();
          nextTick = now + TICK_MS;
        }
        if (!this.#end.armRing()) continue;
        this.#end.pool.doorbell.parkSync(Math.min(deadline, nextTick) - now);
      }
    } finally {
      if (!wasWaiting || this.isEmpty) this.#end.setWaiting(false);
    }
  }

  /** Serves the callers as far as possible now; asks to be rung for the next one. */
  pump(): void {
    for (;;) {
      const caller = this.#callers.first;
      if (caller === undefined) return;
      try {
        if (!caller.attempt()) {
          if (this.#end.armRing()) return;
          continue;
        }
        caller.resolve();
        this.#settle(caller);
      } catch (error) {
        this.#settle(caller);
        caller.reject(error);
      }
    }
  }

  /** Refuses everyone who waits. */
  refuse(error: unknown): void {
    for (;;) {
      const caller = this.#callers.first;
      if (caller === undefined) return;
      this.#abandon(caller, error);
    }
  }

  #enqueue(caller: Caller): void {
    try {
      this.#callers.push(caller);
      this.#ticking ??= startTicking(TICK_MS, () => this.#tick());
      this.#end.setWaiting(true);
      this.pump();
    } catch (error) {
      // Else it would take a message for somebody who has left.
      this.#abandon(caller, error);
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

  /** A caller gives up. */
  #abandon(caller: Caller, reason: unknown): void {
    if (this.#settle(caller)) caller.reject(reason);
  }

  /** Takes the caller out of the line. Returns false if it was not in it any more. */
  #settle(caller: Caller): boolean {
    if (!this.#callers.remove(caller)) return false;
    caller.guard?.end();
    if (!this.isEmpty) return true;
    stopTimer(this.#ticking);
    this.#ticking = undefined;
    this.#end.setWaiting(false);
    return true;
  }
}
