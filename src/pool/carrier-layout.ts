// SPDX-License-Identifier: MIT
/**
 * The part of the control block that is lent to carriers. Packets in transit in it can be found
 * when every thread that knew the carrier has died.
 *
 * A carrier is a set of lanes between a fixed party of threads: the mesh of an executor group. It
 * has one entry and a run of pages.
 *
 *   ┌────────────────┬──────────────┬────────────────────────────────────────┐
 *   │ entry 0 … 63   │ PAGE 0…P−1   │ pages 0…P−1 of 1024 words              │
 *   │ 64 words each  │ 1 word each  │ a carrier's lanes                      │
 *   └────────────────┴──────────────┴────────────────────────────────────────┘
 *
 *   word         unit          written by                          read by    access
 *   OWNER        see below     who claims the entry; sweepers      everyone   atomic,
 *                                                                             SYNC(carrier)
 *   READY        flag          the owner, when all below is done   sweepers   atomic, SYNC(carrier)
 *   PARTY_COUNT … SLOTS        the owner, until READY              sweepers   plain, by READY
 *   PAGE         entry + 1     who claims an entry's pages         the same   atomic
 *   PARTY[i]     badge         the thread that takes the place,    sweepers   atomic,
 *                              before it is attached                          SYNC(carrier-party)
 *   lanes        channel       as the channel's layout says        parties    the same
 *
 *   OWNER = 0       free: READY is 0, no PAGE names the entry
 *   OWNER = badge   that thread's: it alone claims and gives back pages
 *   OWNER = −1      CONDEMNED: its owner has died, a thread of its party lives; no thread joins it
 *   OWNER = −2      LEFT: its owner has left the pool and did not give it back; never used again
 *   OWNER < −2      that of the thread with the badge −1 − OWNER, which sweeps it
 *
 * A thread joins by its badge in PARTY, then the attach, then a look at OWNER. A sweeper changes
 * OWNER, then looks at PARTY and at who is attached. So one of the two sees the other: no thread
 * uses lanes whose pages were given away. PARTY stands in the entry, not in the pages: a thread
 * that joins too late, when the entry is another carrier's, writes its badge there and is refused.
 * That carrier's sweep waits until this thread has ended, too.
 *
 * OWNER names a thread, and a thread may have several carriers, one after the other in one entry.
 * No thread takes one for the other, because:
 *
 *   the owner's release()  happens once for each carrier (a flag of its object)
 *   an old ticket          is held by threads that have ended: the owner gives a carrier back when
 *                          all threads that it gave tickets to have exited; a dead owner's badge is
 *                          no other thread's
 *   a sweeper's look       after its compare-exchange it reads the entry anew; CONDEMNED may stand
 *                          for another carrier by then, which is as well to be swept
 *
 * What a death leaves, and what the next sweep does; every reclaim ends with a sweep.
 *
 *   died                               left behind           the sweep
 *   owner, before READY                OWNER, some PAGEs     frees the pages, then the entry
 *   owner, from READY on               packets in lanes      waits for the party, releases them,
 *                                                            then as above
 *   owner, while it gives back         as before READY       as above
 *   a thread that joins                PARTY without thread  finds no thread of that badge
 *   a sweeper                          OWNER < −2            is taken over; a packet that it had
 *                                                            taken out is in its account
 */

import { assert } from '../base/assert.ts';
import { TRANSIT_WORDS } from './transit-layout.ts';

let word = 0;
export const OWNER: number = word++;
export const READY: number = word++;
export const PARTY_COUNT: number = word++;
/** First word of lane 0. */
export const LANES_BEGIN: number = word++;
export const LANE_COUNT: number = word++;
/** Words from one lane to the next. */
export const LANE_WORDS: number = word++;
/** A lane's slots: where they begin, words of each, how many: { offset: 16, words: 8, log2: 8 }. */
export const SLOTS: number = word++;
/** First of the PARTY words. */
export const PARTY = 8;
assert(word <= PARTY, 'the fields of an entry stand before its parties');
/** Words of an entry. */
export const ENTRY_WORDS = 64;
/** Threads besides the owner that a carrier may have. */
export const PARTY_COUNT_MAX: number = ENTRY_WORDS - PARTY;

export const ENTRY_COUNT = 64;
export const PAGE_WORDS = 1024;

/** OWNER: its owner has died. */
export const CONDEMNED = -1;
/** OWNER: its owner has left the pool. */
export const LEFT = -2;

/** OWNER while the thread with that badge sweeps: below LEFT, for no badge is 1. */
export function sweptBy(badge: number): number {
  return -1 - badge;
}

/** There is room for the mesh of this many parties: 16 executors and their host. */
const PARTIES_MAX = 17;
/** A lane of 1024 packets with tags, the default, and its words beside the slots. */
const LANE_WORDS_USUAL: number = 1024 * (TRANSIT_WORDS + 1) + 256;

/** Pages of a pool with `maxThreads` threads. The system provides only those that are used. */
export function pageCount(maxThreads: number): number {
  const parties = Math.min(maxThreads, PARTIES_MAX);
  return Math.ceil((parties * parties * LANE_WORDS_USUAL) / PAGE_WORDS) + 1;
}

/** The number of words of everything drawn above. */
export function carrierWords(maxThreads: number): number {
  return ENTRY_COUNT * ENTRY_WORDS + pageCount(maxThreads) * (1 + PAGE_WORDS);
}
