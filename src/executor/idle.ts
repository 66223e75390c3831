// SPDX-License-Identifier: MIT
/** The room where packets are worked on: what a thread does while there is nothing to do. */

import { nowMs } from '../base/clock.ts';

/**
 * How a thread waits for work; its sockets and timers are served in each of them.
 *
 * - 'adaptive': spins for some microseconds, then looks once in every turn of the event loop for
 *   some hundreds, then parks; longer where that paid off lately. An idle thread costs nothing.
 * - 'spin': looks all the time, and turns the event loop 10 000 times a second. Fastest, one core.
 * - 'poll': looks once in every turn of the event loop, which never rests. One core.
 * - 'park': sleeps at once. Waking takes some 30 µs.
 */
export type Idle = 'adaptive' | 'spin' | 'poll' | 'park';

export const IDLE_KINDS: readonly Idle[] = ['adaptive', 'spin', 'poll', 'park'];

/** Look again at once. */
export const AGAIN = 0;
/** Look again in the next turn of the event loop. */
export const NEXT_TURN = 1;
/** Sleep until somebody wakes the thread. */
export const PARK = 2;

/** What to do after a pass that found nothing. */
export type IdleAnswer = typeof AGAIN | typeof NEXT_TURN | typeof PARK;

// A wake-up costs 30 µs and more on both sides, a turn of the loop 1 to 2 µs (measured 2026-11, 2
// cores). Waiting about as long as the next, dearer way costs is at most twice the best that could
// be done; where it pays off, twice as long next time.
const SPIN_MS = { min: 0.002, start: 0.005, max: 0.02 };
const POLL_MS = { min: 0.05, start: 0.2, max: 1 };

/** Decides, pass by pass, how one thread waits. */
export class IdleStrategy {
  readonly kind: Idle;
  private spinMs: number = SPIN_MS.start;
  private pollMs: number = POLL_MS.start;
  /** When the thread became idle; −1 while it is not. */
  private sinceMs = -1;
  private stage: IdleAnswer = AGAIN;

  constructor(kind: Idle) {
    this.kind = kind;
  }

  /** A pass found something. */
  busy(): void {
    if (this.sinceMs < 0) return;
    const idleMs = nowMs() - this.sinceMs;
    this.sinceMs = -1;
    this.spinMs = adapted(this.spinMs, idleMs, SPIN_MS);
    this.pollMs = adapted(this.pollMs, idleMs, POLL_MS);
  }

  /** A pass found nothing. */
  next(): IdleAnswer {
    switch (this.kind) {
      case 'spin':
        return AGAIN;
      case 'poll':
        return NEXT_TURN;
      case 'park':
        return PARK;
      default:
        return this.adapt(nowMs());
    }
  }

  private adapt(now: number): IdleAnswer {
    if (this.sinceMs < 0) {
      this.sinceMs = now;
      this.stage = AGAIN;
    }
    const idleMs = now - this.sinceMs;
    if (this.stage === AGAIN) {
      if (idleMs < this.spinMs) return AGAIN;
      this.stage = NEXT_TURN;
    }
    if (this.stage === NEXT_TURN) {
      if (idleMs < this.pollMs) return NEXT_TURN;
      this.stage = PARK;
    }
    return PARK;
  }
}

/** Longer where waiting so has paid off, or would have if it had gone on for longer. */
function adapted(ms: number, idleMs: number, limits: { min: number; max: number }): number {
  return idleMs < limits.max ? Math.min(limits.max, 2 * ms) : Math.max(limits.min, ms / 2);
}
