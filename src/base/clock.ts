// SPDX-License-Identifier: MIT
/** Foundation under every room: the only place that reads a clock or starts a timer. */

/** The longest delay a timer takes; longer ones are cut to it. */
export const TIMER_DELAY_MS_MAX = 0x7fffffff;

/** A timer that was started. */
export type Timer = ReturnType<typeof setTimeout>;

/** Milliseconds on a clock that never goes back. */
export function nowMs(): number {
  return performance.now();
}

/** When this thread's clock began. */
const ORIGIN_MS = performance.timeOrigin;

/** Milliseconds on the one clock that all threads of a process share. */
export function sharedNowMs(): number {
  return ORIGIN_MS + nowMs();
}

/** Calls back once after `delayMs`; keeps the event loop alive until then. */
export function startTimer(delayMs: number, callback: () => void): Timer {
  return setTimeout(callback, Math.min(delayMs, TIMER_DELAY_MS_MAX));
}

/** Calls back every `periodMs`; keeps the event loop alive until stopped. */
export function startTicking(periodMs: number, callback: () => void): Timer {
  return setInterval(callback, Math.min(periodMs, TIMER_DELAY_MS_MAX));
}

/** Stops a timer of either kind; nothing happens if it has fired or was stopped. */
export function stopTimer(timer: Timer | undefined): void {
  clearTimeout(timer);
}
