// SPDX-License-Identifier: MIT
/** What both ends of the baselines with other packages agree on. */

/** Messages received so far; the other end waits for it. */
export const RECEIVED = 0;
/** How many of them were not what was sent. */
export const WRONG = 1;
/** Not zero: no more will come. */
export const ENDING = 2;
export const COUNT_WORDS = 64;

/** The text of message `number`: together with the number about 64 bytes of JSON. */
export function textOf(number: number): string {
  return `message ${number}`.padEnd(48, '.');
}
