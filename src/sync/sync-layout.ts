// SPDX-License-Identifier: MIT
/**
 * The memory layout of a synchronization primitive: its shared words, and who may write them.
 *
 *   one block, in lines of 32 words (128 bytes)
 *   ┌────────┬────────┬─────────┬───────────────┐
 *   │ header │ state  │ tickets │ seat 0 … T−1  │     T: threads of the pool, a seat for each
 *   │ 1 line │ 1 line │ 1 line  │ 1 line each   │
 *   └────────┴────────┴─────────┴───────────────┘
 *
 *   word          unit      written by                         read by     access
 *   header        various   the creator, at first              anyone      plain, immutable
 *   STATE         see below every thread                       everyone    atomic,
 *                                                                          SYNC(sync-state)
 *   TAG           any       the holder of a mutex              it          plain, by STATE
 *   NEXT_TICKET   tickets   threads that begin to wait, +2     the same    atomic
 *   seat:
 *     HOLDER      badge     the thread of that slot: its       everyone    atomic,
 *                           badge; recover(): recoveredBy,                 SYNC(sync-seat)
 *                           then NO_HOLDER
 *     WAITING     ticket    its holder: a ticket, or 0;        ringers     atomic,
 *                           recover(): 0                                   SYNC(sync-waiting)
 *     MEMBERS     objects   its holder                         it          plain, one writer
 *     HELD        units     its holder; recover(), once the    the same    plain, one writer
 *                           holder is dead
 *
 * A ticket is odd, so never 0; tickets run modulo 2³² and are compared by their difference. A seat
 * is a thread's, not an object's: if several objects of a thread wait, MEMBERS counts them, and
 * they share the ticket.
 *
 * **STATE of a mutex** = { waited: 1 (the sign), holder: 31 }
 *
 *   holder = 0            FREE
 *   holder = badge        that thread has the lock
 *   holder = ORPHANED     free; its last holder died
 *   holder = POISONED     no thread gets it any more
 *
 *                 tryLock, a waiter                  unlock
 *       FREE ───────────────────────▶ badge ─────────────────────▶ FREE
 *                                       │ its thread is gone ▸ the next waiter
 *                                       ├──────────▶ ORPHANED ──a waiter, tryLock──▶ badge
 *                                       └──────────▶ POISONED (by choice)
 *
 *   waited   a thread waits and wants to be rung. Who unlocks a waited lock rings the first waiter.
 *            A waiter sets the bit before it sleeps, and takes the lock with the bit set, because
 *            others may sleep by it. 'fair': the bit also stands on FREE, so that newcomers, who
 *            compare with FREE, do not get past those who wait.
 *
 * **STATE of a semaphore** = { waited: 1 (the sign), disabled: 1, permits: 30 }
 *
 *   waited     threads wait, and newcomers queue behind them; who adds permits rings the first of
 *              them, and who takes some and leaves some rings the next
 *   disabled   every wait ends, and every later call returns 'disabled'
 *
 * **STATE of an event** = { waited: 1 (the sign), epoch: 30, set: 1 }
 *
 *   set        it is set; an auto event: and no wait has used that up
 *   epoch      how often it was set, modulo 2³⁰: a wait of a manual event ends when it is not the
 *              one by which it began, so a reset() right after the set() does not hide it
 *   waited     a thread waits and wants to be rung; set() takes the bit off, and rings. A waiter
 *              that has used up an auto event leaves the bit on, as others may sleep by it
 *
 * **How a sleeper is woken.** A waiter writes WAITING, then looks at STATE, sets `waited` in a
 * STATE by which it has to wait, and sleeps. A thread that changes STATE in its
 * favour does that first, then looks for WAITING seats. So one of the two sees the other. Only the
 * first waiter is rung: if it gives up, it rings the next one after it has cleared its WAITING.
 *
 * **Death.** A thread may die before and after any access. What is left then, and who repairs it:
 *
 *   died                                     left behind                  repaired by
 *   while it holds a lock                    STATE names a dead badge     the next waiter, within a
 *                                                                         tick; tryLock; recover()
 *   while it holds permits that are owned    HELD > 0 in a dead seat      the same
 *   while it waits                           WAITING in a dead seat       the same, WAITING := 0
 *   between its change of STATE and the      a sleeper that is not        the sleeper's own tick
 *   ring that it owes; after it was rung     rung
 *   between STATE and HELD, MEMBERS          nothing: STATE is changed by the one call, HELD is a
 *                                            plain store after it
 *   while it recovers a seat                 HOLDER =                     another recover(): HELD
 *                                            recoveredBy(dead); HELD as   is given back in one
 *                                            it was, or 0                 step
 *
 * A tick is 50 ms: each waiter looks at STATE then, whether it was rung or not. 'fair' and
 * semaphores: a waiter whose tick finds free what the first one has not taken (the thread of the
 * first is blocked elsewhere, or busy) takes it, so nothing stays free while a waiter is awake.
 *
 * **Exceptions.** A call throws before it has changed STATE, or it has succeeded. Before a change
 * that needs a ring, the call checks that the stack has room for it; if the ring still throws, a
 * microtask rings.
 */

import { assert } from '../base/assert.ts';
import { LINE_WORDS } from '../base/lines.ts';
import { POOL_IDENTITY_WORDS } from '../pool/pool-identity.ts';
import { THREADS_MAX } from '../pool/pool-layout.ts';

export const SYNC_MAGIC = 0x73796e63;
export const SYNC_VERSION = 1;

let word = 0;
export const HEADER_MAGIC: number = word++;
export const HEADER_VERSION: number = word++;
/** The place in {@link SYNC_KINDS}. */
export const HEADER_KIND: number = word++;
export const HEADER_THREADS: number = word++;
/** Which pool's threads use it. */
export const HEADER_POOL: number = word;
word += POOL_IDENTITY_WORDS;
/** What the primitive was made with; their meaning is its own. */
export const HEADER_CHOICES: number = word;
/** How many of {@link HEADER_CHOICES} there are. */
export const CHOICE_COUNT = 3;
word += CHOICE_COUNT;
assert(word <= LINE_WORDS, 'header fields must fit in one line');

export const STATE: number = LINE_WORDS;
export const TAG: number = LINE_WORDS + 1;
export const NEXT_TICKET: number = 2 * LINE_WORDS;
const SEATS: number = 3 * LINE_WORDS;

// Seat record: one line.
word = 0;
export const HOLDER: number = word++;
export const WAITING: number = word++;
export const MEMBERS: number = word++;
export const HELD: number = word++;
assert(word <= LINE_WORDS, 'seat fields must fit in one line');

/** First word of a seat's record. */
export function seatAt(seat: number): number {
  return SEATS + seat * LINE_WORDS;
}

/** Words of a block. */
export function syncWords(maxThreads: number): number {
  // One line more: the block as a whole is not aligned to lines, only its parts are a line apart.
  return seatAt(maxThreads) + LINE_WORDS;
}

/** HOLDER: no thread has used the seat, or its last holder has been cleaned up after. */
export const NO_HOLDER = 0;

/** HOLDER while the thread with that badge cleans up after a dead holder. */
export function recoveredBy(badge: number): number {
  return -badge;
}

/** WAITING: the holder does not wait. */
export const NOT_WAITING = 0;
/** From one ticket to the next. */
export const TICKET_STEP = 2;

/** HEADER_KIND: the place in this list, plus one. */
export const SYNC_KINDS = ['mutex', 'semaphore', 'event'] as const;
/** The kinds of primitives. */
export type SyncKind = (typeof SYNC_KINDS)[number];

/** Bit of every STATE: the sign. */
export const WAITED: number = -0x8000_0000;

// STATE of a mutex.
export const HOLDER_MASK = 0x7fff_ffff;
export const FREE = 0;
export const ORPHANED = 0x7fff_ffff;
export const POISONED = 0x7fff_fffe;
/** The largest badge: see badgeOf() in pool-layout.ts. */
export const BADGE_MAX: number = THREADS_MAX * 2 ** 20;
assert(BADGE_MAX < POISONED, 'a badge is not one of the other values');

// STATE of a semaphore.
export const DISABLED = 0x4000_0000;
export const PERMITS_MASK = 0x3fff_ffff;

// STATE of an event.
export const IS_SET = 1;
export const EPOCH_STEP = 2;
export const EPOCH_MASK = 0x7fff_fffe;
