// SPDX-License-Identifier: MIT
/** Calls a function when the code that runs now has returned. */

/** Node's queue if there is one: the core does not depend on Node. */
const host = globalThis as { readonly process?: { nextTick?(job: () => void): void } };

/** Node's queue of the next turn. */
const timers = globalThis as { readonly setImmediate?: (job: () => void) => void };

/**
 * Runs `job` on Node's nextTick queue, or else as a microtask.
 *
 * Node empties that queue when the present callback (of a socket, a timer, an immediate) has
 * returned, *before* the promise jobs that the callback has queued. Called from a promise job, it
 * runs when the promise jobs that are queued by then have run. See docs/adr/0006-turn-end.md.
 */
export function afterThis(job: () => void): void {
  if (host.process?.nextTick === undefined) queueMicrotask(job);
  else host.process.nextTick(job);
}

/** Resolves in the next turn of the event loop, after its timers and sockets. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (timers.setImmediate === undefined) setTimeout(resolve, 0);
    else timers.setImmediate(resolve);
  });
}
