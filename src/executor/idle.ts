// SPDX-License-Identifier: MIT
/** How a thread waits while it has nothing to do. */

import { nowMs } from '../base/clock.ts';

/**
 * How a thread waits for work. Its sockets and timers are served in every mode.
 *
 * - 'adaptive': spins for some microseconds, then polls once in every turn of the event loop for
 *   some hundred microseconds, then parks. Spins and polls longer if that paid off recently. A
 *   thread that stays idle costs nothing.
 * - 'spin': polls all the time and turns the event loop 10 000 times a second. Fastest; one core.
 * - 'poll': polls once in every turn of the event loop, which never sleeps. One core.
 * - 'park': sleeps at once. A wake-up takes some 30 µs.
 */
export type Idle = 'adaptive' | 'spin' | 'poll' | 'park';

export const IDLE_KINDS: readonly Idle[] = ['adaptive', 'spin', 'poll', 'park'];

/** Poll again at once. */
export const AGAIN = 0;
/** Poll again in the next turn of the event loop. */
export const NEXT_TURN = 1;
/** Sleep until the thread is woken. */
export const PARK = 2;

/** The next step after a pass that found nothing. */
export type IdleStep = typeof AGAIN | typeof NEXT_TURN | typeof PARK;

// A wake-up costs 30 µs and more on both sides, a turn of the loop 1 to 2 µs (measured 2026-11, 2
// cores). So a thread waits about as long as the next, more expensive step would take: that costs
// at most twice the optimum. A wait that has paid off lasts twice as long the next time.
const SPIN_MS = { min: 0.002, start: 0.005, max: 0.02 };
const POLL_MS = { min: 0.05, start: 0.2, max: 1 };

/** Decides after each pass how one thread waits. */
export class IdleStrategy {
  readonly kind: Idle;
  private spinMs: number = SPIN_MS.start;
  private pollMs: number = POLL_MS.start;
  /** When the thread became idle; −1 while it is not. */
  private sinceMs = -1;
  private stage: IdleStep = AGAIN;

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
  next(): IdleStep {
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

  private adapt(now: number): IdleStep {
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

/** Doubles the wait if it has paid off, or would have within its limit; otherwise halves it. */
function adapted(ms: number, idleMs: number, limits: { min: number; max: number }): number {
  return idleMs < limits.max ? Math.min(limits.max, 2 * ms) : Math.max(limits.min, ms / 2);
}
