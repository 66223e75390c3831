// SPDX-License-Identifier: MIT
/**
 * A clock shared by the harness and its load threads: `performance.now()` begins at 0 in every
 * thread, this does not.
 */

const NS_PER_MS = 1e6;

/** Milliseconds of the monotonic clock of the machine. */
export function sharedNowMs(): number {
  return Number(process.hrtime.bigint()) / NS_PER_MS;
}
