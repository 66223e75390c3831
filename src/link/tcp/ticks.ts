// SPDX-License-Identifier: MIT
/** Calls that come again and again, for many objects by one timer. */

import { startTicking, stopTimer, type Timer } from '../../base/clock.ts';

/** A wait that looks at each tick whether it is over. */
export interface Ticking {
  /** Called at each tick. Returns whether the wait continues. */
  tick(): boolean;
}

/**
 * The waits of this thread that look every `periodMs`.
 *
 * The timer runs only while there are waits, and does not keep the event loop alive. While the
 * event loop is blocked no tick passes, so a slow program does not count against its peers.
 */
export class Ticks {
  readonly #periodMs: number;
  readonly #waits: Set<Ticking> = new Set();
  #timer: Timer | undefined;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** Calls `wait.tick` from now on, at each tick. No effect if it is called already. */
  begin(wait: Ticking): void {
    this.#waits.add(wait);
    if (this.#timer !== undefined) return;
    this.#timer = startTicking(this.#periodMs, () => this.#tick());
    this.#timer.current.unref();
  }

  /** Whether ticks reach this wait. */
  has(wait: Ticking): boolean {
    return this.#waits.has(wait);
  }

  #tick(): void {
    for (const wait of this.#waits) if (!wait.tick()) this.#waits.delete(wait);
    if (this.#waits.size > 0) return;
    stopTimer(this.#timer);
    this.#timer = undefined;
  }
}

/** A deadline for a peer takes effect up to two of these ticks late, never early. */
export const PEER_TICK_MS = 100;

/** All waits for peers, on this thread. */
export const peerTicks: Ticks = new Ticks(PEER_TICK_MS);
