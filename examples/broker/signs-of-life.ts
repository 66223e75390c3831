// SPDX-License-Identifier: MIT
/** Example broker: whether a client is still there. Looked at every now and then. */

/** Nothing is to be done. */
export const FINE = 0;
/** The client is to be sent a PING; if it was, {@link SignsOfLife.asked} is told. */
export const ASK = 1;
/** It is to be sent a PING to which no answer is waited for. */
export const PROBE = 2;
/** It has not answered. */
export const STALE = 3;
export type LifeLook = typeof FINE | typeof ASK | typeof PROBE | typeof STALE;

/** So long may a client not be read from before it is asked whether it is still there. */
const LAG_MS = 2000;

export interface LifeLimits {
  readonly pingIntervalMs: number;
  readonly maxPingsOut: number;
}

/**
 * A client that says nothing and is sent nothing is asked now and then, and is stale when it has
 * not answered so often.
 *
 * A client that is not read from cannot be seen to leave, and leaves megabytes behind, thousands of
 * SUBs perhaps. Asked for a sign of life, the system of one that is gone says so at once. No answer
 * is waited for: it would come behind all that.
 */
export class SignsOfLife {
  /** Bytes have come from it or were written for it, since it was last looked at. */
  wasActive: boolean = false;
  readonly #limits: LifeLimits;
  #pingsOut: number = 0;
  #lookedAtMs: number;
  /** Since when it has not been read from, each time that this was looked at. */
  #laggingSinceMs: number | undefined = undefined;

  constructor(limits: LifeLimits, nowMs: number) {
    this.#limits = limits;
    this.#lookedAtMs = nowMs;
  }

  /** Says what is to be done; `isPaused`: the client is not read from now. */
  look(nowMs: number, isPaused: boolean): LifeLook {
    if (this.#lags(nowMs, isPaused)) return PROBE;
    const { pingIntervalMs, maxPingsOut } = this.#limits;
    if (nowMs - this.#lookedAtMs < pingIntervalMs) return FINE;
    this.#lookedAtMs = nowMs;
    if (!this.wasActive) return this.#pingsOut >= maxPingsOut ? STALE : ASK;
    this.wasActive = false;
    this.#pingsOut = 0;
    return FINE;
  }

  asked(): void {
    this.#pingsOut++;
  }

  answered(): void {
    this.#pingsOut = 0;
  }

  #lags(nowMs: number, isPaused: boolean): boolean {
    if (!isPaused) this.#laggingSinceMs = undefined;
    else this.#laggingSinceMs ??= nowMs;
    if (this.#laggingSinceMs === undefined || nowMs - this.#laggingSinceMs < LAG_MS) return false;
    this.#laggingSinceMs = nowMs;
    return true;
  }
}
