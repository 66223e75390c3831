// SPDX-License-Identifier: MIT
/** From the socket to the framer: who keeps a buffer for small packets to share, and how long. */

import { startTicking, stopTimer, type Timer } from '../../base/clock.ts';

/** Somebody who is quiet from one tick to the next keeps its buffer no longer: 50 to 100 ms. */
const TICK_MS = 50;

/** Somebody who holds a buffer that packets lie in, so that the next ones share it. */
export interface Lingerer {
  /** Whether it goes on: false once it has given its buffer back, or has none. */
  lingersOn(): boolean;
}

const lingerers = new Set<Lingerer>();
let ticking: Timer | undefined;

/** Asks once in a while, until the answer is no. Does not keep the event loop alive. */
export function linger(who: Lingerer): void {
  lingerers.add(who);
  if (ticking !== undefined) return;
  ticking = startTicking(TICK_MS, askAll);
  ticking.current.unref();
}

function askAll(): void {
  for (const who of lingerers) if (!who.lingersOn()) lingerers.delete(who);
  if (lingerers.size > 0) return;
  stopTimer(ticking);
  ticking = undefined;
}
