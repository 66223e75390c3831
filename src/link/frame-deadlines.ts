// SPDX-License-Identifier: MIT
/** From the socket to the framer: how long a peer may take for a frame that it has begun. */

import { startTicking, stopTimer, type Timer } from '../base/clock.ts';

/** A deadline is met up to two ticks late, never early. */
const TICK_MS = 100;

/** Somebody who waits for the rest of a frame. */
export interface FrameWaiter {
  /** A tick has passed. Returns whether it still waits; false takes it off the list. */
  frameTick(tickMs: number): boolean;
}

const waiters = new Set<FrameWaiter>();
let ticking: Timer | undefined;

/**
 * Ticks for `who` until it says that it waits no more. All waiters of a thread share one timer,
 * which runs only while there are some, and does not keep the event loop alive. While the event
 * loop stands, no tick passes: a slow program does not count against its peers.
 */
export function awaitFrame(who: FrameWaiter): void {
  waiters.add(who);
  if (ticking !== undefined) return;
  ticking = startTicking(TICK_MS, tickAll);
  ticking.current.unref();
}

function tickAll(): void {
  for (const who of waiters) if (!who.frameTick(TICK_MS)) waiters.delete(who);
  if (waiters.size > 0) return;
  stopTimer(ticking);
  ticking = undefined;
}
