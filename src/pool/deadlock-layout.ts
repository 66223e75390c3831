// SPDX-License-Identifier: MIT
/**
 * Which thread waits for which: words at the end of the control block of a pool that tracks leaks.
 * `sync/deadlocks.ts` uses them; other pools have none.
 *
 *   ┌──────────────┬───────────────┐
 *   │ NEXT_NUMBER  │ story 0 … T−1 │   T: threads of the pool
 *   │ 1 line       │               │
 *   └──────────────┴───────────────┘
 *
 *   word          unit        written by                     read by      access
 *   NEXT_NUMBER   primitives  who makes a primitive, +1      the same     atomic
 *   story, all by the thread of that slot:
 *     BADGE       badge       before its first wait          everyone     atomic
 *     WAIT        waits       +1 when it tells of a wait,    everyone     atomic,
 *                             +1 when that ends: odd until                SYNC(deadlock-wait)
 *                             then
 *     EDITION     editions    +1 before it writes the rest,  everyone     atomic,
 *                             +1 after: odd in between                    SYNC(deadlock-edition)
 *     MAY_MOVE    0 or 1      1: it waits by a promise, so   everyone     atomic, by EDITION
 *                             other functions of it run
 *     NEED        units       what it needs of the holders;  everyone     atomic, by EDITION
 *                             0: not known, or anyone helps
 *     EDGES       edges       how many follow                everyone     atomic, by EDITION
 *     edge:       badge,      a holder, what it holds, and   everyone     atomic, by EDITION
 *                 units,      its WAIT, which was read
 *                 WAIT        before the holding was seen
 *     LENGTH,     UTF-16      what it waits for, and what    everyone     atomic, by EDITION
 *     TEXT        units       it holds, with the stacks
 *
 * **Why a deadlock that is found is one.** A thread that blocks changes nothing until its wait
 * ends, so an edge is true from before it was written until WAIT of the holder is not the one that
 * it names. A thread that searches takes only edges whose holder, when its story was read, had that
 * WAIT, and keeps the threads that need more than all others can give. If the wait of one of them
 * had ended since its edges were written, and it was the first, it would have got something from a
 * thread that still waited. So none has ended, and none will.
 *
 * **Death.** A thread that dies leaves its story, odd or not. Its EDITION, if odd, makes the story
 * unreadable; its badge is known to be gone, and its locks are freed. The next thread of
 * the slot begins with its own BADGE, and makes EDITION and WAIT even. Nothing else is left.
 */

import { LINE_WORDS, wholeLines } from '../base/lines.ts';

let word = 0;
export const STORY_BADGE: number = word++;
export const STORY_WAIT: number = word++;
export const STORY_EDITION: number = word++;
export const STORY_MAY_MOVE: number = word++;
export const STORY_NEED: number = word++;
export const STORY_EDGES: number = word++;
export const STORY_EDGE: number = word;
export const EDGE_WORDS = 3;
/** A thread that waits for more holders tells of none. */
export const EDGES_MAX = 32;
word += EDGES_MAX * EDGE_WORDS;
export const STORY_LENGTH: number = word++;
export const STORY_TEXT: number = word;
export const TEXT_MAX = 4096;
word += TEXT_MAX;
export const STORY_WORDS: number = wholeLines(word) + LINE_WORDS;

/** Words of the whole part. */
export function deadlockWords(maxThreads: number): number {
  return LINE_WORDS + maxThreads * STORY_WORDS;
}

/** First word of a thread's story. `first` is NEXT_NUMBER. */
export function storyAt(first: number, slot: number): number {
  return first + LINE_WORDS + slot * STORY_WORDS;
}
