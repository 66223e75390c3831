// SPDX-License-Identifier: MIT
/** Assertions, always on. A failed one is a bug in busbar and is never caught. */

/** A broken invariant: a bug in this library, or memory that was overwritten. */
export class AssertionError extends Error {
  override readonly name: string = 'AssertionError';
}

/**
 * Throws unless `condition` holds. The message is a literal: an interpolated one would cost on
 * success.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) fail(message);
}

/** Throws. Kept apart from {@link assert} so that callers stay small enough to be inlined. */
export function fail(message: string): never {
  throw new AssertionError(message);
}
