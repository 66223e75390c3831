// SPDX-License-Identifier: MIT
/**
 * The words in which those who keep buffers for long say how many references they hold, by kind.
 *
 * A set of such words is a *holder*. Each thread has one of its own, in its record
 * (pool-layout.ts), for those without a name; one that has a name, such as a link, has one of the
 * table's, while there is a free one.
 *
 *   a holder of the table, one line of 32 words; of a thread's own: the same, without OWNER
 *   ┌───────┬────────────┬──────────────┬─────────┐
 *   │ OWNER │ HELD 1 … 5 │ NAME, 8 words│ padding │
 *   └───────┴────────────┴──────────────┴─────────┘
 *
 *   word        unit        written by                          read by   access
 *   OWNER       slot + 1    who opens it: 0 → its slot + 1;     everyone  atomic, SYNC(holder)
 *                           it, or who reclaims it: 0
 *   HELD[kind]  references  its thread                          who()     plain, one writer
 *   NAME        text        its thread: the first word last     who()     plain, one writer
 *
 * A NAME is its length in bytes, then UTF-8; 0: none. Nothing is decided by these words: they are
 * read without order, and each was true at some moment.
 *
 * What a death leaves: OWNER, with any HELD and any NAME. Who reclaims the slot clears its holders
 * before another thread can have it. HELD is written after the buffer was taken, and after it was
 * released; an exception in between (the stack is full) leaves it one off.
 */

import { assert } from '../base/assert.ts';
import { LINE_WORDS } from '../base/lines.ts';

let word = 0;
export const HOLDER_OWNER: number = word++;
/** Kinds of holders, each the number of its HELD word. */
export const FRAMER: number = word++;
export const WRITER: number = word++;
/** Regions that wait for a socket, or are being written to it. */
export const SENDING: number = word++;
/** Buffers into which datagrams are received. */
export const RECEIVING: number = word++;
/** The buffers of `PacketWriter`s. */
export const CARVER: number = word++;
export const HOLDER_NAME: number = word;
/** Words of a NAME. */
export const NAME_WORDS = 8;
word += NAME_WORDS;
export const HOLDER_WORDS: number = word;
assert(word <= LINE_WORDS, 'a holder fits in one line');

/** Most bytes of a name. */
export const NAME_BYTES_MAX: number = 4 * NAME_WORDS - 1;
const HOLDER_COUNT_MAX = 1024;

/** Holders of the table: no more than buffers, since others hold nothing most of the time. */
export function holderCount(bufferCount: number): number {
  return Math.min(bufferCount, HOLDER_COUNT_MAX);
}

/** What a HELD word counts. */
export const HOLDER_KINDS: readonly (readonly [number, string])[] = [
  [FRAMER, 'framer'],
  [WRITER, 'writer'],
  [SENDING, 'sending'],
  [RECEIVING, 'receiving'],
  [CARVER, 'packet writer'],
];
