// SPDX-License-Identifier: MIT
/** Calls a function when the code that runs now has returned. */

/** Node's tick queue, if there is one: the core imports nothing from Node. */
const host = globalThis as { readonly process?: { nextTick?(job: () => void): void } };

/**
 * Calls `job` once the running code has returned.
 *
 * With `process.nextTick`: after a callback of the event loop, before any promise goes on; after
 * code that a promise has continued, when no promise can go on any more. Without it (browsers): in
 * a microtask, in order with the promises.
 */
export function afterThis(job: () => void): void {
  if (host.process?.nextTick === undefined) queueMicrotask(job);
  else host.process.nextTick(job);
}
