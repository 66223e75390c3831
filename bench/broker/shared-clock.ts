// SPDX-License-Identifier: MIT
/**
 * A clock that the harness and its load threads share: `performance.now()` starts anew in every
 * thread, this does not.
 */

const NS_PER_MS = 1e6;

/** Milliseconds of the monotonic clock of the machine. */
export function sharedNowMs(): number {
  return Number(process.hrtime.bigint()) / NS_PER_MS;
}
