// SPDX-License-Identifier: MIT
/** Throws an error where no caller can catch it. */

/**
 * Throws from a microtask, so that the caller goes on. The error ends the thread, unless the
 * program handles 'uncaughtException'.
 */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
