// SPDX-License-Identifier: MIT
/**
 * Where each shared word of a pool stands, and who may write it.
 *
 * A pool is two blocks. The *data block* holds the buffers and nothing else, so a stray write by a
 * user can spoil a message but never the pool. The *control block* holds the words below; users
 * never see it.
 *
 *   control block, in lines of 32 words (128 bytes, a pair of cache lines)
 *   ┌────────┬───────────┬─────────┬──────────────┬──────────────┬──────────────┬───────────────┐
 *   │ header │ attention │ tickets │ stripe 0…T−1 │ thread 0…T−1 │ buffer 0…N−1 │ account 0…T−1 │
 *   │ 1 line │  1 line   │ 1 line  │ 1 line each  │ 2 + cache    │ 1 line each  │ 2·N words     │
 *   └────────┴───────────┴─────────┴──────────────┴──────────────┴──────────────┴───────────────┘
 *   and after the accounts the part that is lent to carriers: carrier-layout.ts; the table of
 *   holders: holder-layout.ts; where leaks are tracked, the words that find deadlocks:
 *   deadlock-layout.ts
 *
 *   word             unit      written by                       read by     access
 *   header           various   the creator, at first            anyone      plain, immutable
 *   ATTENTION        flags     waiters, those who serve them;   everyone    atomic or a hint,
 *                              close()                                      SYNC(attention)
 *   NEXT_TICKET      tickets   each caller that begins to wait  waiters     atomic
 *   stripe s         see below the thread that claims it        everyone    atomic, SYNC(stripe)
 *     its COUNT      buffers   the thread that claims it        stats       plain, by SYNC(stripe)
 *   thread:
 *     CACHE_COUNT    buffers   its thread                       it, hints   plain, one writer
 *     cache          BufferIds its thread                       it          plain, one writer
 *     counters       events    its thread                       stats       plain, one writer
 *     HOARD          buffers   its thread                       hints       plain, one writer
 *     OWN_HOLDER     see       its thread                       who()       plain, one writer
 *                    holder-layout.ts
 *     STATE          see below attach, detach, reclaim          everyone    by SYNC(slot-state)
 *     GRANT          see below its thread; anyone: WAITING →    everyone    atomic, SYNC(grant)
 *                              granted
 *     TICKET         ticket    its thread, then it registers    everyone    plain, by SYNC(grant)
 *     PARKER         state     its thread parks, anyone rings   everyone    atomic, SYNC(parker)
 *     TIMES          attempts  threads that want to attach, +1  the same    atomic
 *     LIFE[n mod 8]  –         never: words to wait on          –           wait and notify only
 *     PROBES[same]   probes    its thread +1, probers −1        probers     atomic
 *     GONE           STATE     who proves the end of a thread   probers     atomic
 *     ASKED_SINCE    ms        probers, when PROBES is full     probers     atomic
 *     ASKED_LAST     ms        probers                          probers     atomic
 *     ASKED_FREELY   questions probers                          probers     atomic
 *   buffer:
 *     OWNER          see below the present owner                reclaim     plain, with the buffer
 *     NEXT           BufferId  who claimed the stripe           the same    plain, by SYNC(stripe)
 *     TOTAL          shares    who holds shares                 the same    atomic,
 *                                                                           SYNC(shares, both)
 *   account:
 *     REFS[id]       refs      its thread                       it          plain, one writer
 *     SHARES[id]     shares    its thread; reclaim, once it     the same    plain, one writer
 *                              is dead
 *
 * The OWNER word of a buffer says who owns it now:
 *
 *                 claim stripe s ▸ OWNER = t              first share ▸ TOTAL, SHARES, OWNER
 *   IN_STRIPE(s) ───────────────────▶ t (cached) ◀──▶ t (held) ───────────────────▶ SHARED
 *        ▲                              │                 ▲                           │
 *        └── claim stripe s ▸ OWNER = s ┘                 └── last share withdrawn ───┘
 *
 *   OWNER = t ≥ 0   thread t alone: in its cache, or held by it with REFS[id] > 0
 *   OWNER = −1      SHARED: accounts and packets in transit together hold TOTAL shares
 *   OWNER ≤ −2      IN_STRIPE(−2 − OWNER): free, in the shared list
 *   OWNER = −2³⁰    ALONE: in transit. The words of one packet hold the only reference; the thread
 *                   that receives it stores itself here, and needs no shares
 *
 *   stripe = 0          empty
 *   stripe = head + 1   a chain of free buffers, linked by NEXT, ended by NO_BUFFER
 *   stripe = −1 − t     claimed by thread t, which alone may walk and change the chain until
 *                       it stores the new head
 *
 *   STATE = 0       FREE: no thread uses the slot
 *   STATE = −2n     MOVING: the n-th to want the slot is moving in; it has nothing yet, and if no
 *                   slot is FREE another may take this one away from it
 *   STATE = −2n − 1 attached, as number n; or died without detaching
 *   STATE > 0       RECLAIMING: thread t, attached as number n, reclaims it:
 *                   1 + t + 1024 · (n mod 2²⁰)
 *
 *   ATTENTION = 0   no thread waits, the pool is open: hot paths need no check
 *   its bit 0       WAITERS: a thread may be WAITING. Raised by the waiter after its WAITING, and
 *                   again at each sweep; lowered by a thread that finds none WAITING, and raised
 *                   again if it finds one afterwards: a death in between does no harm
 *   its bit 30      CLOSED
 *
 *   GRANT = −1      the thread is not waiting
 *   GRANT =  0      WAITING: a thread with a free buffer may put it here
 *   GRANT = id + 1  granted: the waiter's, though OWNER names the giver until it accepts
 *
 *   GONE = STATE    the thread that was attached with this STATE has ended; any other value says
 *                   nothing of it. STATEs do not come again (for 2²⁹ attaches of one slot), so what
 *                   a thread that slept for long writes here, or into PROBES of another life, can
 *                   only take a known end, or one proof, away
 *   ASKED_…         when, by the clock of the process, threads asked whether this one has ended,
 *                   since it last replaced the waits that proved it alive: liveness.ts
 *
 * A prober that dies between its PROBES − 1 and its notify leaves one wait more than PROBES counts:
 * its thread then hangs one more than it needs. One that dies before it writes GONE leaves one
 * proof less to those who ask again.
 *
 * Death. A thread can be terminated between any two steps. Its cache and its REFS are then
 * worthless, and not needed: reclaim() reads OWNER, SHARES, GRANT and the stripes only (see
 * reclaim.ts).
 */

import { assert } from '../base/assert.ts';
import { LINE_WORDS, wholeLines } from '../base/lines.ts';
import { carrierWords, ENTRY_COUNT, ENTRY_WORDS, pageCount } from './carrier-layout.ts';
import { deadlockWords } from './deadlock-layout.ts';
import { HOLDER_WORDS, holderCount, NAME_WORDS } from './holder-layout.ts';

/** Names one buffer: 0 … bufferCount − 1. */
export type BufferId = number & { readonly __busbar: 'BufferId' };

/** Names one attached thread: 0 … maxThreads − 1. */
export type ThreadSlot = number & { readonly __busbar: 'ThreadSlot' };

/** Bytes of every buffer of a pool, one after the other. */
export type PoolBytes = Uint8Array<SharedArrayBuffer>;

/** What freed bytes are filled with in a pool of `debug`. */
export const POISON = 0xdd;

/** "No buffer": what `tryAcquire` returns for "not now", and the end of a chain. */
export const NO_BUFFER: BufferId = -1 as BufferId;

/** Buffers begin on this boundary of the data block. */
export const BUFFER_ALIGN_BYTES = 64;

export const POOL_MAGIC = 0x62757362;
export const POOL_VERSION = 4;

// Header words: offsets by accumulation, so that they cannot overlap.
let word = 0;
export const HEADER_MAGIC: number = word++;
export const HEADER_VERSION: number = word++;
export const HEADER_BUFFER_SIZE: number = word++;
export const HEADER_BUFFER_COUNT: number = word++;
export const HEADER_BATCH_SIZE: number = word++;
export const HEADER_MAX_THREADS: number = word++;
export const HEADER_TAG: number = word++;
/** Two words: see pool-identity.ts. */
export const HEADER_IDENTITY: number = word;
word += 2;
export const HEADER_TRACK_LEAKS: number = word++;
export const HEADER_DEBUG: number = word++;
export const HEADER_NAME: number = word;
word += NAME_WORDS;
assert(word <= LINE_WORDS, 'header fields must fit in one line');

export const ATTENTION: number = LINE_WORDS;
export const NEXT_TICKET: number = 2 * LINE_WORDS;
const STRIPES: number = 3 * LINE_WORDS;
/** From a stripe's word to the number of buffers in its chain. */
export const STRIPE_COUNT = 1;

/** Bit of ATTENTION: some thread may be waiting for a buffer. */
export const ATTENTION_WAITERS = 1;
/** Bit of ATTENTION: the pool is closed. */
export const ATTENTION_CLOSED: number = 1 << 30;
/**
 * Bit of ATTENTION in the private words of a detached pool object: sends every call to its slow
 * path.
 */
export const ATTENTION_DETACHED: number = 1 << 29;

/**
 * Stands in for the control words once a thread has detached: every hot path meets the flag, or the
 * `undefined` beyond the end, and goes to the slow side, which throws. The fast paths need no check
 * of their own for it.
 */
export const DETACHED_WORDS: Int32Array<ArrayBuffer> = new Int32Array(ATTENTION + 1);
DETACHED_WORDS[ATTENTION] = ATTENTION_DETACHED;

// Thread record, first line: written by its thread only.
word = 0;
export const ACQUIRES: number = word++;
export const ACQUIRES_HIGH: number = word++;
export const REFILLS: number = word++;
export const OVERFLOWS: number = word++;
export const WAITS: number = word++;
export const RECLAIMS: number = word++;
export const GIVE_BACKS: number = word++;
/** Buffers that listeners of the thread's doorbell release once it is rung: a hint. */
export const HOARD: number = word++;
/** The thread's own holder. */
export const OWN_HOLDER: number = word;
word += HOLDER_WORDS;
assert(word <= LINE_WORDS, 'thread fields must fit in their line');

// Thread record, second line: written by several threads.
word = LINE_WORDS;
export const STATE: number = word++;
export const GRANT: number = word++;
export const TICKET: number = word++;
export const PARKER: number = word++;
export const TIMES: number = word++;
/** Words of a kind that are used in turn: what one thread left in a slot does not meet the next. */
export const LIVES = 8;
export const LIFE: number = word;
word += LIVES;
export const PROBES: number = word;
word += LIVES;
export const GONE: number = word++;
export const ASKED_SINCE: number = word++;
export const ASKED_LAST: number = word++;
export const ASKED_FREELY: number = word++;
assert(word <= 2 * LINE_WORDS, 'thread fields must fit in their line');
// Then the cache: a count, and the stack of that many ids after it. Hot paths know only where the
// count is.
export const CACHE_COUNT: number = 2 * LINE_WORDS;

/** STATE: no thread uses the slot. */
export const THREAD_FREE = 0;
/** STATE: reclaim() is at work; the rest names the thread: {@link badgeOf}. */
const THREAD_RECLAIMING = 1;
/** Numbers of attached threads begin again after this one. */
const TIMES_MASK = 0x3fff_ffff;

/** GRANT: the thread is not waiting. */
export const NOT_WAITING = -1;
/** GRANT: the thread waits for a buffer. */
export const WAITING = 0;

// Buffer record.
word = 0;
export const OWNER: number = word++;
export const NEXT: number = word++;
assert(word <= LINE_WORDS / 2, 'owner-written words share a cache line');
/** Written by every holder at once, so on the second line of the pair. */
export const TOTAL: number = LINE_WORDS / 2;
export const BUFFER_WORDS: number = LINE_WORDS;

/** OWNER: held through shares, by one or more threads or packets in transit. */
export const SHARED = -1;
/** OWNER: held by the words of one packet in transit, and by nothing else. */
export const ALONE: number = -(1 << 30);

/** OWNER of a free buffer in stripe `stripe`. */
export function inStripe(stripe: number): number {
  return -2 - stripe;
}

/** STATE of a slot into which the n-th thread that wanted it moves. */
export function movingIn(times: number): number {
  return -2 * (times & TIMES_MASK || 1);
}

/** The STATE of a slot once a thread has attached there, made from its STATE before. */
export function movedIn(moving: number): number {
  return moving - 1;
}

/** True for the STATE of a slot that no thread has, or not yet. */
export function isVacant(state: number): boolean {
  return state <= 0 && (state & 1) === 0;
}

/** Which of the LIFE and PROBES words go with a STATE below zero. */
export function lifeOf(state: number): number {
  return (-state >> 1) & (LIVES - 1);
}

/**
 * Names the thread attached at `slot` with STATE `state`, among all that ever were there; never 0.
 *
 * As STATE of another slot: that thread reclaims it.
 *
 * A badge comes again after 2²⁰ attaches to its slot: after minutes of nothing else, after hours if
 * each is a worker's. What an earlier thread left under it, and no thread asked for since then,
 * is then the new one's until that ends; no two living threads have it. A look at a badge and the
 * compare-exchange after it are wrong only if their thread stands still for as long. So no attach
 * is refused: that would end programs that start workers for years.
 */
export function badgeOf(slot: number, state: number): number {
  return THREAD_RECLAIMING + slot + THREADS_MAX * ((-state >> 1) & 0xf_ffff);
}

/** The slot of the thread that a badge names. */
export function slotOf(badge: number): number {
  return (badge - THREAD_RECLAIMING) % THREADS_MAX;
}

/** The word of a stripe that thread `slot` has claimed. */
export function claimedBy(slot: number): number {
  return -1 - slot;
}

/**
 * At most this many buffers: ids, chain words and account rows stay small integers with room to
 * spare.
 */
export const BUFFER_COUNT_MAX: number = 1 << 20;
/** At most this many bytes in one buffer. */
export const BUFFER_SIZE_MAX: number = 1 << 30;
/**
 * At most this many bytes in all buffers together: every absolute offset is a positive 32-bit
 * integer.
 */
export const POOL_BYTES_MAX = 0x7fff_ffc0;
/** At most this many threads attached at once. */
export const THREADS_MAX = 1024;
/** At most this many buffers in one batch. */
export const BATCH_SIZE_MAX = 4096;
/** At most this many control words. */
const CONTROL_WORDS_MAX: number = 1 << 29;

/** Bytes from one buffer's begin to the next one's. */
export function bufferStride(bufferSize: number): number {
  return Math.ceil(bufferSize / BUFFER_ALIGN_BYTES) * BUFFER_ALIGN_BYTES;
}

/** Where everything stands in the control block of a pool of a given shape. */
export class PoolLayout {
  readonly bufferCount: number;
  readonly maxThreads: number;
  /** A cache that grows to this many buffers is cut by a batch; so it never holds more. */
  readonly cacheLimit: number;
  /** First word of thread record 0. */
  readonly threads: number;
  /** Words from one thread record to the next. */
  readonly threadWords: number;
  /** First word of buffer record 0. */
  readonly buffers: number;
  /** First word of account 0. */
  readonly accounts: number;
  /** Words from one account to the next. */
  readonly accountWords: number;
  /** First word of the part that is lent to carriers: carrier-layout.ts. */
  readonly carriers: number;
  /** PAGE of page 0. */
  readonly carrierMap: number;
  /** First word of page 0. */
  readonly carrierPages: number;
  readonly carrierPageCount: number;
  /** First word of holder 0. */
  readonly holders: number;
  /** First word of the part that finds deadlocks; 0: there is none. */
  readonly deadlocks: number;
  /** Words in all. */
  readonly wordCount: number;

  constructor(bufferCount: number, maxThreads: number, batchSize: number, isTracked = false) {
    this.bufferCount = bufferCount;
    this.maxThreads = maxThreads;
    this.cacheLimit = batchSize + Math.max(1, batchSize >> 1);
    this.threads = STRIPES + maxThreads * LINE_WORDS;
    // Whole lines, and one more: the block as a whole is not aligned to lines, only its parts are a
    // line apart.
    this.threadWords = wholeLines(CACHE_COUNT + 1 + this.cacheLimit) + LINE_WORDS;
    this.buffers = this.threads + maxThreads * this.threadWords;
    this.accounts = this.buffers + bufferCount * BUFFER_WORDS;
    this.accountWords = wholeLines(2 * bufferCount) + LINE_WORDS;
    this.carriers = this.accounts + maxThreads * this.accountWords;
    this.carrierMap = this.carriers + ENTRY_COUNT * ENTRY_WORDS;
    this.carrierPageCount = pageCount(maxThreads);
    this.carrierPages = wholeLines(this.carrierMap + this.carrierPageCount);
    this.holders = wholeLines(this.carriers + carrierWords(maxThreads)) + LINE_WORDS;
    const end = this.holders + (holderCount(bufferCount) + 1) * LINE_WORDS;
    this.deadlocks = isTracked ? end : 0;
    this.wordCount = isTracked ? end + deadlockWords(maxThreads) : end;
  }

  /** True if the words fit one typed array that every supported engine can make. */
  get fits(): boolean {
    return this.wordCount <= CONTROL_WORDS_MAX;
  }

  stripe(stripe: number): number {
    return STRIPES + stripe * LINE_WORDS;
  }

  thread(slot: number): number {
    return this.threads + slot * this.threadWords;
  }

  buffer(id: number): number {
    return this.buffers + id * BUFFER_WORDS;
  }

  /** First word of the entry of a carrier. */
  carrierEntry(entry: number): number {
    return this.carriers + entry * ENTRY_WORDS;
  }

  holder(index: number): number {
    return this.holders + index * LINE_WORDS;
  }

  /** First of the account's REFS words; REFS[id] is this plus id. */
  refs(slot: number): number {
    return this.accounts + slot * this.accountWords;
  }

  /** First of the account's SHARES words; SHARES[id] is this plus id. */
  shares(slot: number): number {
    return this.accounts + slot * this.accountWords + this.bufferCount;
  }
}
