// SPDX-License-Identifier: MIT
/**
 * The words of a `SeqLock`: two copies of a snapshot, of which readers read one while the writer
 * fills the other. Its writers exclude each other by a mutex, which has a block of its own; both
 * blocks have the same random number, so that no handle mixes those of two locks.
 *
 *   ┌────────┬──────────┬─────────┬─────────┐
 *   │ header │ SEQUENCE │ copy 0  │ copy 1  │   each part a line away from the next
 *   └────────┴──────────┴─────────┴─────────┘
 *
 *   word       unit      written by                     read by      access
 *   header     various   the creator, at first          anyone       plain, immutable
 *   SEQUENCE   see below the holder of the mutex        everyone     atomic, SYNC(seq-lock)
 *   copies     any       the holder of the mutex        everyone     atomic, SYNC(seq-lock)
 *
 *   SEQUENCE = 2n       n snapshots were written; the last one is in copy n mod 2
 *   SEQUENCE = 2n + 1   the same; a writer fills copy (n + 1) mod 2
 *
 * Modulo 2³². A reader that begins at 2n or 2n + 1 reads copy n mod 2, which is written again only
 * after 2n + 3 is stored: so what it has read is one snapshot if SEQUENCE is 2n, 2n + 1 or 2n + 2
 * after its last word; a reader that stands still for a multiple of 2³¹ writes, exactly, sees none
 * of them. All accesses to the copies are atomic: where they are plain, a read may return what is
 * written later, although SEQUENCE has not changed yet (test/model/weak-mutants.test.ts).
 *
 * A lock is abandoned if SEQUENCE is odd while its writer has the mutex no more. Who looks at both
 * looks at SEQUENCE again: if it has changed, the writer had the mutex, and has ended.
 *
 * **Death, or an exception, of a writer** leaves SEQUENCE odd and a copy half filled that no thread
 * reads. The mutex comes back as usual; the next writer fills the same copy from its beginning.
 */

import { LINE_WORDS, wholeLines } from '../base/lines.ts';

export const SEQ_LOCK_MAGIC = 0x7365716c;
export const SEQ_LOCK_VERSION = 2;

export const HEADER_MAGIC = 0;
export const HEADER_VERSION = 1;
/** Words of a snapshot. */
export const HEADER_WORDS = 2;
/** HEADER_PAIR of the mutex of its writers. */
export const HEADER_WRITERS = 3;

export const SEQUENCE: number = LINE_WORDS;
const COPIES: number = 2 * LINE_WORDS;

/** The most words of a snapshot. */
export const SNAPSHOT_WORDS_MAX = 0x10_0000;
/** SEQUENCE from its begin on: below this, what was read is one snapshot. */
export const OVERWRITTEN = 3;

/** First word of copy 0 or 1. */
export function copyAt(copy: number, words: number): number {
  return COPIES + copy * (wholeLines(words) + LINE_WORDS);
}

/** Words of a block. */
export function seqLockWords(words: number): number {
  return copyAt(2, words);
}
