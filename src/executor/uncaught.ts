// SPDX-License-Identifier: MIT
/** The room where packets are worked on: errors that nobody can be told of. */

/**
 * Throws the error where nobody catches it, whatever Node does with rejections: it ends the thread,
 * unless the user handles 'uncaughtException'.
 */
export function throwUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
