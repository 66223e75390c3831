// SPDX-License-Identifier: MIT
/** Model checker: turns the queue of promises by hand. */

/** Runs what promises and `nextTick` have queued, before it returns. */
const tick = (process as unknown as { _tickCallback?(): void })._tickCallback;

/** Runs all microtasks now. Only from a macrotask: the engine does not nest them. */
export function drainMicrotasks(): void {
  if (tick === undefined) throw new Error('busbar/testing runs in Node only');
  tick.call(process);
}
