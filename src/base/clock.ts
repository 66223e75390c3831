// SPDX-License-Identifier: MIT
/** The only place that reads a clock or starts a timer. */

/** The longest delay that the engine's timers take. */
export const TIMER_DELAY_MS_MAX = 0x7fffffff;

/** A running timer. A delay longer than the engine's maximum takes several timers of the engine. */
export interface Timer {
  current: ReturnType<typeof setTimeout>;
}

/** Milliseconds on a monotonic clock. */
export function nowMs(): number {
  return performance.now();
}

/** The origin of this thread's clock. */
const ORIGIN_MS = performance.timeOrigin;

/** Milliseconds on the one clock that all threads of a process share. */
export function sharedNowMs(): number {
  return ORIGIN_MS + nowMs();
}

/** Calls back once after `delayMs`, however long; keeps the event loop alive until then. */
export function startTimer(delayMs: number, callback: () => void): Timer {
  if (delayMs <= TIMER_DELAY_MS_MAX) return { current: setTimeout(callback, delayMs) };
  let restMs = delayMs - TIMER_DELAY_MS_MAX;
  const next = (): void => {
    if (restMs <= 0) {
      callback();
      return;
    }
    const partMs = Math.min(restMs, TIMER_DELAY_MS_MAX);
    restMs -= partMs;
    timer.current = setTimeout(next, partMs);
  };
  const timer: Timer = { current: setTimeout(next, TIMER_DELAY_MS_MAX) };
  return timer;
}

/** Calls back every `periodMs`; keeps the event loop alive until stopped. */
export function startTicking(periodMs: number, callback: () => void): Timer {
  return { current: setInterval(callback, Math.min(periodMs, TIMER_DELAY_MS_MAX)) };
}

/** Stops a timer of either kind; nothing happens if it has fired or was stopped. */
export function stopTimer(timer: Timer | undefined): void {
  if (timer !== undefined) clearTimeout(timer.current);
}
