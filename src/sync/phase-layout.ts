// SPDX-License-Identifier: MIT
/**
 * The STATE of primitives that come to an end, or for which one thread runs something: countdowns,
 * wait groups, barriers, onces and gates. Their block is that of `sync-layout.ts`.
 *
 * **STATE** = { waited: 1 (the sign), died: 1, phase: 2, epoch: 13, count: 15 }; of a gate:
 * { waited: 1, died: 1, phase: 2, closing: 1, count: 27 }
 *
 *   waited   a thread waits and wants to be rung
 *   died     a thread has died that was counted, or that ran the function
 *   count    how many are still to come; of a gate: how many have come in since it was opened
 *   closing  of a gate, in RUNNING: it was closed while a thread decided. open() clears it and the
 *            count. Then the decision may still close the gate; the end of its old batch does not
 *   epoch    of a wait group: how often the count has come to 0, modulo 2¹³. A wait ends when the
 *            epoch differs from that at its begin, so an add() right after hides nothing. (After a
 *            multiple of 8192 rounds between two looks of a waiter, it ends with a later one.)
 *
 *   word            unit     written by             what
 *   HELD of a seat  counted  its holder; recover()  { runs: 1, entered: 16 }: whether the thread
 *                                                   runs the function; for how many of the counted
 *                                                   it is responsible: at most COUNT_MAX, since
 *                                                   each count up leaves no more than were counted
 *   TAG             any      who runs the function  the value of a once, before DONE
 *   MADE            transit  who runs the function  the packet of a once (transit-layout.ts): moved
 *                                                   in before DONE, never out after it
 *
 *   countdown   OPEN n ─▶ … OPEN 1 ──arrive──▶ RUNNING ──finish──▶ DONE    fail, death ▸ FAILED
 *   barrier     OPEN n ─▶ … OPEN 1 ──done──▶ DONE                          cancel ▸ FAILED
 *   wait group  OPEN n ─▶ … OPEN 1 ──done──▶ OPEN 0, epoch + 1 ──add──▶ OPEN n …
 *   once        OPEN ──begin──▶ RUNNING ──finish──▶ DONE       fail ▸ OPEN, or FAILED by choice
 *                                  └──death──▶ OPEN, died
 *   gate        DONE, closed ──open──▶ OPEN 0 ──enter──▶ RUNNING 1 ──▶ OPEN 1 … or DONE
 *                                         ▲─death, exception─┘
 *
 * A thread that changes STATE so that all waiters may continue clears `waited` and rings all. Where
 * one of them is enough (a once that failed, a gate), it leaves `waited` and rings the first; each
 * waiter that leaves rings the next.
 *
 * **Death.** Each change of STATE and HELD is one indivisible call, so a dead thread has left one
 * of these states; the next waiter, within a tick, or recover() repairs it.
 *
 *   died                                 left behind              repaired to
 *   after enter(), before done()         HELD: entered            count − entered, died; at 0 as
 *                                                                 above, but a countdown: FAILED
 *   while it ran the function            RUNNING, HELD: runs      as drawn above, died
 *   after a packet was moved into MADE   RUNNING, and the packet  the same; who runs the function
 *                                        in MADE                  next releases it, in finish() or
 *                                                                 fail()
 *   between STATE and the ring           a sleeper not rung       its own tick
 *   before enter(): no thread is named   count                    nothing: the thread that began it
 *                                                                 sees it exit, and calls
 *                                                                 withdraw(); HELD stays
 */

import { assert } from '../base/assert.ts';
import { TRANSIT_WORDS } from '../pool/transit-layout.ts';
import { NEXT_TICKET, TAG, WAITED } from './sync-layout.ts';

export const COUNT_MAX = 0x7fff;
export const EPOCH_ONE: number = COUNT_MAX + 1;
export const EPOCH_BITS = 0x0fff_8000;
/** Of a gate: it has no epoch. */
export const CLOSING = 0x0800_0000;
export const ENTRIES_MAX = 0x07ff_ffff;

export const OPEN = 0;
export const RUNNING = 0x1000_0000;
export const DONE = 0x2000_0000;
export const FAILED = 0x3000_0000;
export const PHASE = 0x3000_0000;
export const DIED = 0x4000_0000;
assert((WAITED | DIED | PHASE | EPOCH_BITS | COUNT_MAX) === -1, 'the fields fill the word');
assert((CLOSING | ENTRIES_MAX) === (EPOCH_BITS | COUNT_MAX), 'a gate has the same phases');

/** First of four words: the packet of a once. */
export const MADE: number = TAG + 1;
assert(MADE + TRANSIT_WORDS <= NEXT_TICKET, 'the packet lies in the line of STATE');

// HELD.
export const RUNS = 0x1_0000;
export const ENTERED_MAX = 0xffff;
