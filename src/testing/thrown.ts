// SPDX-License-Identifier: MIT
/** Model checker: what is thrown into threads. */

/** Thrown out of a thread that is not to go on. */
export const PAUSE: object = Object.freeze({ pausedBy: 'model checker' });

/** What an engine throws at a call for which the stack has no room. */
export function stackOverflow(): RangeError {
  return new RangeError('Maximum call stack size exceeded');
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
