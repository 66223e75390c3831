// SPDX-License-Identifier: MIT
/** Model checker: `mayDie`, which code calls at places where an engine could end its thread. */

import { activeMachine } from './active.ts';

/**
 * Marks a function entry or the back edge of a loop: the current thread may be killed here, and
 * `exceptions` may throw. No effect outside of a model check.
 *
 * V8 ends a thread, and finds its stack full, only at calls and at the back edges of loops. The
 * checker sees calls of `Atomics` by itself. Code whose recovery relies on straight-line code being
 * done wholly or not at all needs a call of `mayDie` at each of the other places.
 */
export function mayDie(): void {
  activeMachine()?.calls();
}

/**
 * Sets whether the stack has room from here on, so that no call throws; returns the value before.
 * For copies of modules that check the stack before they begin.
 */
export function stackHasRoom(hasRoom?: boolean): boolean {
  const machine = activeMachine();
  if (machine === undefined) return false;
  const before = machine.hasRoom;
  if (hasRoom !== undefined) machine.hasRoom = hasRoom;
  return before;
}
