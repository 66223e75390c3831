// SPDX-License-Identifier: MIT
/** Model checker: what code calls wherever an engine could end its thread. */

import { activeMachine } from './active.ts';

/**
 * A function entry or the back edge of a loop: a place where the thread that runs may be killed,
 * and where `exceptions` throws. Outside of a model check it does nothing.
 *
 * V8 ends a thread, and finds its stack full, only where it calls something or goes round a loop.
 * Calls of `Atomics` are seen without this; code whose recovery relies on straight lines being all
 * done or not begun is checked with a call of `mayDie` at each of the other places.
 */
export function mayDie(): void {
  activeMachine()?.calls();
}

/**
 * Says whether the stack has room from here on, so that no call throws, or as before; returns what
 * was so until then. For copies of modules that look at the stack before they begin.
 */
export function stackHasRoom(hasRoom?: boolean): boolean {
  const machine = activeMachine();
  if (machine === undefined) return false;
  const before = machine.hasRoom;
  if (hasRoom !== undefined) machine.hasRoom = hasRoom;
  return before;
}
