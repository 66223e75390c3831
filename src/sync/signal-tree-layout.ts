// SPDX-License-Identifier: MIT
/**
 * The words of a `SignalTree`: a bit for each signal, and above them bits that say where to look.
 *
 *   level 2                 ▐█          a word: bit i = word i of level 1 is perhaps not 0
 *   level 1          ▐█          ▐█     bit i = word i of level 0 is perhaps not 0
 *   level 0   ▐█ ▐█ … 32       ▐█ ▐█    bit i = signal i is set
 *
 *   word       unit    written by                             read by    access
 *   a level    bits    set(): +bit; a consumer: −bit          everyone   atomic, SYNC(signals)
 *   PAIR       number  the creator, at first                  attach()   plain, immutable
 *
 * PAIR is the last word, in the line of the highest level, which has one word: HEADER_PAIR of the
 * sync block, so that no handle mixes the blocks of two trees.
 *
 * STATE of its sync block = { waited: 1 (the sign) }: a consumer waits, and wants to be rung.
 *
 * A thread that makes a word of a level not 0 sets its bit above; a thread that finds a word 0
 * clears the bit above and looks at the word again: if it is not 0 any more, it sets the bit again.
 * So one of two threads that do both at once sees the other, and the bit is set in the end. A late
 * setter, or a consumer that dies, leaves bits above words that are 0. A search that finds nothing
 * ends with one from the top, which clears them: while the top is not 0, no thread sleeps.
 *
 * **Death**, or an exception:
 *
 *   died                                  left behind               repaired by
 *   between a bit and the bit above it;   a word that is not 0      a consumer that waits, at its
 *   between clearing a bit above and      below a bit that is 0     tick; recover(); the next set()
 *   looking again                                                   in a word that is 0
 *   before it has rung                    a sleeper                 the sleeper's own tick
 *   after it took the last of a word      bits above nothing        a search that finds nothing
 */

import { wholeLines } from '../base/lines.ts';

/** The most signals of a tree. */
export const SIGNALS_MAX = 0x10_0000;
const BITS_SHIFT = 5;

/** Where the levels of a tree lie. */
export interface SignalLevels {
  /** First word of each level. */
  readonly at: readonly number[];
  /** Words of each level. */
  readonly widths: readonly number[];
  /** Words in all; the last is PAIR. */
  readonly words: number;
}

export function signalLevels(count: number): SignalLevels {
  const at: number[] = [];
  const widths: number[] = [];
  let words = 0;
  for (let width = count; width > 1 || at.length === 0; ) {
    width = (width + 31) >> BITS_SHIFT;
    at.push(words);
    widths.push(width);
    words += wholeLines(width);
  }
  return { at, widths, words };
}
