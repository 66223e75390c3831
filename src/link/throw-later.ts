// SPDX-License-Identifier: MIT
/** On the way from the flusher to the sockets: how one link's error does not stop the others. */

/**
 * Throws from a microtask: whoever is at fault, the others on the way are not stopped half-way
 * through.
 */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
