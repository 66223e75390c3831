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
 * Marks a check of the stack, for as much as `room` says: 1 for a step, 2 for a part of a path, 3
 * for a path. It may throw unless a check for more has passed; then no call throws until
 * {@link stackRoom} says otherwise.
 */
export function checkStack(room: number): void {
  const machine = activeMachine();
  if (machine === undefined || machine.room > room) return;
  const before = machine.room;
  machine.room = 0;
  try {
    machine.calls();
  } finally {
    machine.room = before;
  }
  machine.room = room;
}

/** Sets how much of the stack is free, if a value is given; returns the value before. */
export function stackRoom(room?: number): number {
  const machine = activeMachine();
  if (machine === undefined) return 0;
  const before = machine.room;
  if (room !== undefined) machine.room = room;
  return before;
}
