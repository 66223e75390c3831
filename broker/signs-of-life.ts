// SPDX-License-Identifier: MIT
/** Example broker: detects dead clients by PINGs. Checked at intervals. */

/**
 * What to do: nothing; send the client a PING, then call {@link SignsOfLife.asked}; send it one
 * without waiting for a reply; it has not replied.
 */
export type LifeLook = 'fine' | 'ask' | 'probe' | 'stale';

/** A client that has not been read from for this long is sent a PING. */
const LAG_MS = 2000;

export interface LifeLimits {
  readonly pingIntervalMs: number;
  readonly maxPingsOut: number;
}

/**
 * A client without traffic in either direction is sent PINGs at intervals, and is stale after a
 * number of them without a reply.
 *
 * A client that is not read from cannot be seen to leave, and leaves megabytes behind, thousands of
 * SUBs perhaps. If such a client is gone, its system rejects a PING at once. No reply is waited
 * for: it would come behind all that input.
 */
export class SignsOfLife {
  /** True if bytes came from it or were written for it since the last check. */
  wasActive: boolean = false;
  readonly #limits: LifeLimits;
  #pingsOut: number = 0;
  #lookedAtMs: number;
  /** Since when every check has found that it is not read from. */
  #laggingSinceMs: number | undefined = undefined;

  constructor(limits: LifeLimits, nowMs: number) {
    this.#limits = limits;
    this.#lookedAtMs = nowMs;
  }

  /** Returns what to do now. `isPaused`: the client is not being read from. */
  look(nowMs: number, isPaused: boolean): LifeLook {
    if (this.#lags(nowMs, isPaused)) return 'probe';
    const { pingIntervalMs, maxPingsOut } = this.#limits;
    if (nowMs - this.#lookedAtMs < pingIntervalMs) return 'fine';
    this.#lookedAtMs = nowMs;
    if (!this.wasActive) return this.#pingsOut >= maxPingsOut ? 'stale' : 'ask';
    this.wasActive = false;
    this.#pingsOut = 0;
    return 'fine';
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
