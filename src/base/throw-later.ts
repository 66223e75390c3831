// SPDX-License-Identifier: MIT
/** Foundation under every room: how the error of one does not stop the others. */

/**
 * Throws from a microtask: whoever is at fault, the others on the way are not stopped half-way
 * through.
 */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
