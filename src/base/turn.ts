// SPDX-License-Identifier: MIT
/** Calls a function when the code that runs now has returned. */

/** Node's queue, where there is one: the core asks for nothing of Node. */
const host = globalThis as { readonly process?: { nextTick?(job: () => void): void } };

/**
 * Calls back when the code that is running has returned, and all that awaits what is there already
 * has run too. Without Node's queue: between those.
 */
export function afterThis(job: () => void): void {
  if (host.process?.nextTick === undefined) queueMicrotask(job);
  else host.process.nextTick(job);
}
