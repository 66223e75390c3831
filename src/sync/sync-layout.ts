// SPDX-License-Identifier: MIT
/**
 * Where the shared words of a synchronization primitive lie, and which threads may write them.
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
 *   TAG           any       the holder of a mutex              the holder  plain, by STATE
 *   NEXT_TICKET   tickets   threads that begin to wait, +2     the same    atomic
 *   seat:
 *     HOLDER      badge     the thread of that slot: its       everyone    atomic,
 *                           badge; recover(): recoveredBy,                 SYNC(sync-seat)
 *                           then NO_HOLDER
 *     WAITING     ticket    its holder: a ticket, or 0;        ringers     atomic,
 *                           recover(): 0                                   SYNC(sync-waiting)
 *     MEMBERS     objects   its holder                         its holder  plain, one writer
 *     HELD        units     its holder; recover(), once the    the same;   plain, one writer
 *                           holder is dead                     deadlocks
 *     READS       locks     the same                           writers     atomic,
 *                                                                          SYNC(sync-reads)
 *     WANTED      permits   its holder, before WAITING         waiters     atomic,
 *                                                                          SYNC(sync-waiting)
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
 *   waited   a thread waits and wants to be rung. A thread that unlocks a waited lock rings the
 *            first waiter. A waiter sets the bit before it sleeps, and leaves it set when it takes
 *            the lock, because others may still sleep. 'fair': it also keeps newcomers, which
 *            compare STATE with FREE, from overtaking. A waiter sets it, whatever STATE is, right
 *            after WAITING. Only the holder clears it, while no other thread can take the lock: it
 *            sees no waiter, clears the bit, and looks again. If there is one now, it sets the bit
 *            again; if one comes later, its bit makes the holder's change to FREE fail. So FREE has
 *            the bit as long as a thread is in the queue.
 *
 * **STATE of a semaphore** = { waited: 1 (the sign), disabled: 1, permits: 30 }
 *
 *   waited     threads wait, and newcomers queue behind them; a thread that adds permits rings the
 *              first waiter, and a waiter that takes permits and leaves some rings the next
 *   disabled   every wait ends, and every later call returns 'disabled'
 *
 * **STATE of an event** = { waited: 1 (the sign), epoch: 30, set: 1 }
 *
 *   set        the event is set, and, if it is an auto event, no wait has used it up
 *   epoch      how often the event was set, modulo 2³⁰. A wait for a manual event ends when the
 *              epoch differs from that at its begin, so a reset() right after set() hides nothing
 *   waited     a thread waits and wants to be rung; set() clears the bit, and rings. A waiter that
 *              has used up an auto event leaves the bit set, as others may still sleep
 *
 * **STATE of a read-write lock** = { waited: 1 (the sign), holder: 31 }, as that of a mutex; the
 * holder is a writer. Readers are in READS only: each thread writes its own, so readers on several
 * threads do not slow each other.
 *
 *   HELD of a writer    0 ───▶ CLAIMED, CLAIMED_ORPHAN ──no thread reads──▶ WRITING ───▶ 0
 *                       with STATE: FREE, ORPHANED ─▶ badge                 badge ─▶ FREE
 *
 * A writer first puts its badge in STATE, which keeps out new readers, then waits until every READS
 * is 0. A reader first counts up its READS, then looks at STATE; if there is a badge, it counts
 * down again. So of a reader and a writer at least one sees the other. A reader that counts down
 * rings the writer. A thread that reads already may read again, whatever STATE says: its READS
 * keep the writer waiting. (READS wraps after 2³² locks that one thread has at once. A program that
 * only locks, and never unlocks, gets there in minutes; any other never does.) Readers and writers
 * wait in one queue, first come, first served, and newcomers queue behind them: neither side
 * starves. `waited` is that of a fair mutex; a thread that leaves the queue empty clears it, too,
 * and sets it again if it then finds a waiter.
 * CLAIMED_ORPHAN remembers that the lock was ORPHANED, in case the writer gives up, or dies, before
 * it has the lock.
 *
 * **How a sleeper is woken.** A waiter writes WAITING, then looks at STATE; if it has to wait, it
 * sets `waited` in that STATE, and sleeps. A thread that changes STATE in the waiter's favour does
 * that first, then looks for WAITING seats. So one of the two sees the other. Only the first waiter
 * is rung (all, by a manual event): if it gives up, it clears its WAITING and rings the next one.
 *
 * **Death.** A thread may die before or after any access. This is then left, and repaired:
 *
 *   died                                     left behind                  repaired by
 *   while it holds a lock                    STATE names a dead badge     the next waiter, within a
 *                                                                         tick; tryX; recover()
 *   while it holds permits that are owned    HELD > 0 in a dead seat      the same
 *   while it reads                           READS > 0 in a dead seat     the same
 *   while it claims, or has, a read-write    STATE names a dead badge,    the same: FREE or
 *   lock                                     HELD says how far it was     ORPHANED, as HELD says
 *   between its READS and its look at STATE  READS > 0 in a dead seat     the same
 *   between READS := 1 and STATE := FREE, a  both, as above               the same
 *   downgrade
 *   while it waits                           WAITING in a dead seat       the same, WAITING := 0
 *   between clearing `waited` and its        STATE names a dead badge;    a sleeper's own tick, as
 *   second look                              sleepers without the bit     if it had held the lock
 *   between its change of STATE and the      a sleeper that is not        the sleeper's own tick
 *   ring that must follow; after it was      rung
 *   rung
 *   between STATE and HELD                   nothing: one indivisible call changes STATE and then
 *                                            stores HELD
 *   while it recovers a seat                 HOLDER =                     another recover(): HELD
 *                                            recoveredBy(dead); HELD as   is given back in one
 *                                            it was, or 0                 step
 *
 * **Who is passed over.** Every 50 ms, at its tick, each waiter looks at STATE, whether it was rung
 * or not. At 'fair' mutexes, read-write locks and semaphores, a waiter with n threads before it
 * passes over all of them once it has found, at n + 1 ticks in a row, that what it wants is free
 * and that the first in line is still the same one. They are blocked elsewhere, or busy: each of
 * them, if awake, has had a tick of its own. So nothing stays free while a waiter is awake. It
 * passes over them for one attempt, at once: if that fails, it counts ticks anew, since they may be
 * awake by then. A change that lasts less than from tick to tick lets no thread overtake. At a
 * semaphore, WANTED says that those before it could have taken theirs: it does not overtake one
 * that needs more permits than are free. The count is the waiting object's own, and not shared: a
 * death leaves nothing of it.
 *
 * **Exceptions.** A call that throws has not changed STATE. Before a change that must be followed
 * by a ring, the call checks that the stack has room for it; if the ring still throws, a microtask
 * rings.
 */

import { assert } from '../base/assert.ts';
import { LINE_WORDS } from '../base/lines.ts';
import { POOL_IDENTITY_WORDS } from '../pool/pool-identity.ts';
import { THREADS_MAX } from '../pool/pool-layout.ts';

export const SYNC_MAGIC = 0x73796e63;
export const SYNC_VERSION = 3;

let word = 0;
export const HEADER_MAGIC: number = word++;
export const HEADER_VERSION: number = word++;
/** The kind: its place in {@link SYNC_KINDS}, plus one. */
export const HEADER_KIND: number = word++;
export const HEADER_THREADS: number = word++;
/** Its number among the primitives of its pool, where leaks are tracked; else 0. */
export const HEADER_NUMBER: number = word++;
/** Which pool's threads use it. */
export const HEADER_POOL: number = word;
word += POOL_IDENTITY_WORDS;
/** The options that the primitive was made with, by kind: `sync-states.ts`. */
export const HEADER_CHOICES: number = word;
/** Number of words from {@link HEADER_CHOICES} on. */
export const CHOICE_COUNT = 3;
word += CHOICE_COUNT;
/** A random number that a second block of the same primitive has as well; 0 if there is none. */
export const HEADER_PAIR: number = word++;
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
export const READS: number = word++;
export const WANTED: number = word++;
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

/** HOLDER: no thread has used the seat, or what its last holder left was cleaned up. */
export const NO_HOLDER = 0;

/** HOLDER while the thread with this badge cleans up after a dead holder. */
export function recoveredBy(badge: number): number {
  return -badge;
}

/** WAITING: the holder does not wait. */
export const NOT_WAITING = 0;
/** From one ticket to the next. */
export const TICKET_STEP = 2;

// The kinds of primitives, for HEADER_KIND, and of handles.
export const SYNC_KINDS = [
  'mutex',
  'semaphore',
  'event',
  'rwlock',
  'readLock',
  'waitGroup',
  'countdown',
  'barrier',
  'gate',
  'once',
  'signalTree',
] as const;
/** The kinds of primitives. */
export type SyncKind = (typeof SYNC_KINDS)[number];

/** The bit `waited` of every STATE: the sign. */
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

// HELD of a thread that writes, or wants to.
export const CLAIMED = 1;
export const CLAIMED_ORPHAN = 2;
export const WRITING = 3;
