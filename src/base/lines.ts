// SPDX-License-Identifier: MIT
/** The distance that keeps words of different threads out of each other's cache lines. */

import { assert } from './assert.ts';

/**
 * Words from one line to the next. Words that different threads write at the same time stand at
 * least this far apart: a pair of 64-byte cache lines, because processors prefetch neighbours.
 */
export const LINE_WORDS = 32;

const LINE_BYTES = LINE_WORDS * Int32Array.BYTES_PER_ELEMENT;
assert(LINE_BYTES === 128, 'a line must be a pair of 64-byte cache lines');

/** `words`, rounded up to whole lines. */
export function wholeLines(words: number): number {
  return Math.ceil(words / LINE_WORDS) * LINE_WORDS;
}
