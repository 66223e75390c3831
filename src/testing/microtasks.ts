// SPDX-License-Identifier: MIT
/** Model checker: runs the microtask queue on demand. */

/** Node's function that runs the jobs of promises and of `nextTick`. */
const tick = (process as unknown as { _tickCallback?(): void })._tickCallback;

/** Runs all microtasks now. Only from a macrotask: the engine does not nest them. */
export function drainMicrotasks(): void {
  if (tick === undefined) throw new Error('busbar/testing runs in Node only');
  tick.call(process);
}
