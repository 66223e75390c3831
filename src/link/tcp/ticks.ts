// SPDX-License-Identifier: MIT
/** The one timer of all waits for peers, on this thread. */

import { startTicking, stopTimer, type Timer } from '../../base/clock.ts';

/** A deadline takes effect up to two ticks late, never early. */
export const TICK_MS = 100;

/** A wait with a deadline. */
export interface Ticking {
  /** Called at each tick. Returns whether the wait continues. */
  tick(): boolean;
}

/**
 * Calls `wait.tick` from now on, at each tick. No effect if it is called already.
 *
 * The timer runs only while there are waits, and does not keep the event loop alive. While the
 * event loop is blocked no tick passes, so a slow program does not count against its peers.
 */
export function beginTicks(wait: Ticking): void {
  waits.add(wait);
  if (timer !== undefined) return;
  timer = startTicking(TICK_MS, tickAll);
  timer.current.unref();
}

/** Whether ticks reach this wait. */
export function hasTicks(wait: Ticking): boolean {
  return waits.has(wait);
}

const waits = new Set<Ticking>();
let timer: Timer | undefined;

function tickAll(): void {
  for (const wait of waits) if (!wait.tick()) waits.delete(wait);
  if (waits.size > 0) return;
  stopTimer(timer);
  timer = undefined;
}
