// SPDX-License-Identifier: MIT
/**
 * Memory layout of a SharedWriter: where each shared word stands and which thread may write it.
 *
 *   one block, in lines of 32 words (128 bytes)
 *   ┌────────┬────────┬─────────┬──────────────┬───────────────┬─────────────────┐
 *   │ header │ epoch  │ deliver │ thread 0…T−1 │ segment 0…15  │ entries 16·E    │
 *   │ 1 line │ 1 line │ 1 line  │ 1 line each  │ 1 line each   │ 3 words each    │
 *   └────────┴────────┴─────────┴──────────────┴───────────────┴─────────────────┘
 *
 *   word      unit            written by                     read by      access
 *   EPOCH     segments begun  a thread that finds its        everyone     atomic, SYNC(epoch)
 *                             segment full: + 1
 *   CLAIM     see below       threads that flush             the same     atomic, SYNC(claim)
 *   DELIVERED epoch           the claimant                   the same     plain, by SYNC(claim)
 *     _AT     entry, offset   the claimant                   the same     plain, by SYNC(claim)
 *   FREED     epoch           the claimant                   the same     plain, by SYNC(claim)
 *   TOLD      lane's TAIL     the claimant                   the same     plain, by SYNC(claim)
 *   SHUT      see below       the last member to leave       recover()    atomic, or after
 *                                                                         SYNC(members)
 *   MEMBERS   objects         threads that join or leave     the same     atomic, SYNC(members)
 *   OWED      flag            a thread that leaves with      members      atomic, SYNC(owed)
 *                             messages unflushed: 1; the
 *                             member that flushes them: 0
 *   thread t: pending words   thread t                       recover()    plain, one writer
 *     JOINED  objects         thread t                       the same     plain, one writer
 *     BADGE   see below       thread t; recover()            recover()    atomic, SYNC(member)
 *   segment:
 *     FILL    see below       threads that reserve in it,    everyone     atomic, SYNC(segment)
 *                             open or seal it; the claimant
 *                             frees it
 *     BUFFER  id + 1, or 0    a thread that opens it:        everyone     atomic, SYNC(buffer)
 *                             0 → id + 1; the claimant: → 0
 *   entry:
 *     STATE   see below       the thread that reserved it,   the claimant atomic, SYNC(entry)
 *                             then the one that ends it; the
 *                             claimant clears it
 *     BEGIN   offset          the thread that reserved it    the claimant plain, by SYNC(entry)
 *     LENGTH  bytes reserved  the thread that reserved it    it           plain, by SYNC(entry)
 *
 * The n-th segment has epoch n, and stands in place `n mod 16`; a writer with headroom or tailroom
 * has fewer in a small pool (ringWithMargins). One word holds the state of a segment:
 *
 *   FILL = FREE{lap}             waits until EPOCH reaches `16·lap + place`
 *   FILL = OPEN{entry, offset}   accepts reservations: the next is entry `entry`, its bytes begin
 *                                at `offset`
 *   FILL = SEALED{entries}       accepts no more
 *
 *   FREE{lap} ──open──▶ OPEN{0, headroom} ◀──reserve──▶ OPEN{…} ──seal──▶ SEALED{n}
 *       ▲                                                                    │
 *       └────────── all delivered, EPOCH past it, entries cleared ───────────┘   (lap + 1)
 *
 * One compare-exchange takes an entry and its bytes, so the messages lie in the buffer in the order
 * of their entries; the claimant walks them to find the longest committed run. No call waits for
 * another thread's reservation. The compared word holds the whole reservation, and BUFFER is read
 * afterwards, when the open entry keeps it in place; so a compare-exchange that succeeds on an old
 * value makes a reservation like any other.
 *
 * Invariants, with E = EPOCH:
 *
 *   - EPOCH moves from E to E + 1 only when FILL of E is SEALED and that of E + 1 is FREE for it;
 *     so FILL of E is FREE, OPEN or SEALED of E itself, and no other segment is OPEN.
 *   - A segment is opened only while its BUFFER is set; BUFFER is cleared only when it is SEALED.
 *   - FREED ≤ DELIVERED ≤ E + 1 ≤ FREED + 16: segments are freed in order, and EPOCH is past every
 *     freed one.
 *   - BUFFER = id + 1 holds exactly one share of the buffer; so does a thread's pending record in
 *     use. One call and the plain stores after it move the share.
 *
 *   CLAIM =  0            no thread flushes
 *   CLAIM =  badge        that thread flushes (badges: pool-layout.ts, badgeOf)
 *   CLAIM =  badge|AGAIN  that thread flushes, and walks once more before it stops
 *
 *   SHUT =  0             the writer has members
 *   SHUT =  badge         that thread ends the writer: it releases everything
 *   SHUT = −1             done, and the lane is closed
 *
 *   BADGE =  0            thread t has no object of this writer
 *   BADGE =  badge        thread t has JOINED objects
 *   BADGE = −badge        thread t died; the thread of that badge recovers it, and until then no
 *                         thread joins in slot t
 *
 * A close() whose flush finds no room sets OWED, leaves, then rings all members; one of them takes
 * OWED and flushes until nothing is left. Each thread reads OWED after its record shows that it has
 * left. So if two leave at once, one of them still sees the other as a member and rings it, or the
 * other sees OWED; a thread that stays is rung in any case.
 *
 *   STATE =  0                     not reserved, or reserved and not marked yet: the walk stops
 *   STATE = OPEN | t               reserved by thread t
 *   STATE = OPEN | HELD_UP | t     the same; a flush stopped here: its end flushes again
 *   STATE = OPEN | HANDED | t      thread t has handed it over, no thread has taken it; also with
 *                                  HELD_UP
 *   STATE = COMMITTED | length     a message of `length` bytes, at most LENGTH
 *   STATE = ABORTED                no message
 *   STATE = RUN | t | end          messages up to offset `end`; thread t may append others
 *   STATE = RUN | CUT | t | end    the same, finished
 *
 * Runs. A thread that has written several messages, and no other thread one in between, claims room
 * for more than one (shared-run.ts), and extends it in the same way: offset of FILL, same entry. It
 * appends while its entry is the last: EPOCH and FILL are as it has left them, so no thread has
 * reserved after it, and no message overtakes an earlier one. It copies a message, then moves `end`
 * by one compare-exchange. A claimant hands over what lies before `end`. It leaves a run that is
 * the last entry of an OPEN segment as it is, and continues there the next time; any other it cuts
 * before it passes it, and the compare-exchange of the next append fails. That message is written
 * again elsewhere, and what is left of the run stays unused.
 *
 *   OPEN | t ──first message──▶ RUN | t | end ◀──append (t)──▶ … ──cut (claimant)──▶ RUN | CUT | …
 *
 * A copy may go on while the run is cut and its segment is freed. So the thread holds a reference
 * on the buffer, and no other code uses the bytes of a run as long as the buffer is held; a writer
 * with headroom or tailroom, where a receiver may use bytes beside a message, has no runs. The
 * thread releases the buffer at its next claim, or when it is rung after EPOCH has moved on. A dead
 * thread's run needs no repair: it is delivered, and cut, like one of a thread that does not come
 * back; pool.reclaim() takes the reference.
 *
 * What a death, or an exception in a living thread, can leave, and who repairs it:
 *
 *   left                                     repaired
 *   pending record in use                    the thread's next call: LENGTH = IN is a new buffer,
 *                                            which it uses, OUT a delivered one, which others may
 *                                            still read, and which it releases; dead: recover()
 *                                            releases it, or the next thread of its slot goes on
 *   BUFFER set, FILL = FREE                  nothing to repair: the next to open the segment uses
 *                                            it
 *   FILL = SEALED, EPOCH at it               the next to reserve, or to free it, moves EPOCH on
 *   EPOCH moved on, FILL = FREE              the next to reserve opens it
 *   STATE = OPEN                             its thread ends it; dead: recover() aborts it
 *   STATE = RUN, the run forgotten           nothing to repair: it is cut once an entry follows
 *   JOINED = 1 of a dead member that had     the next recover(): its record names the thread that
 *   left, counted again by who recovers it   recovered it, and it is removed as any dead member
 *   CLAIM held                               the thread's next flush, or recover(), continues
 *   CLAIM held, regions appended             the same: they are released, and walked again
 *   TAIL and DELIVERED written, receiver     the next claimant, or recover(): TOLD differs from
 *   not notified                             TAIL
 *   SEALED, delivered, entries cleared,      the next claimant frees it: FREED has not passed it
 *   BUFFER = 0 or not
 *   MEMBERS counts a dead thread             recover() withdraws its JOINED
 *   OWED = 1, no member rung                 recover() delivers; so does the next ring or close()
 *   OWED taken, not delivered                recover() of the thread that took it delivers
 *   SHUT = badge                             that thread's next close(), or recover() of it, ends
 *                                            the writer
 *   BADGE = −badge                           recover() of either thread continues
 *
 * Packed words, and when one has the same value again while a thread stands still between its load
 * and its compare-exchange:
 *
 *   FILL OPEN    31 bits   after 16 buffers with equal messages; harmless: see above
 *   FILL SEALED  15 bits   never compared
 *   FILL FREE    28 bits   after 2³² buffers, an hour at one per microsecond: taken as never
 *   EPOCH        32 bits   the same
 *   BUFFER       32 bits   0 repeats at once; harmless: a buffer in a FREE segment stays there, and
 *                          one in a SEALED segment is released with it
 *   CLAIM, SHUT, BADGE     a badge is unique among the last 2²⁰ threads of its slot
 *   STATE        32 bits   the same entry of the same thread, a lap later: takeOver() of a ticket
 *                          used twice meets it, and checks the epoch afterwards; append() compares
 *                          EPOCH before, and only its own thread writes RUN with that t
 */

import { assert } from '../base/assert.ts';
import type { Words } from '../base/atomics.ts';
import { LINE_WORDS } from '../base/lines.ts';
import { POOL_IDENTITY_WORDS } from '../pool/pool-identity.ts';
import { THREADS_MAX } from '../pool/pool-layout.ts';
import { TRANSIT_WORDS } from '../pool/transit-layout.ts';

export const SHARED_WRITER_MAGIC = 0x73687772;
export const SHARED_WRITER_VERSION = 5;

let word = 0;
export const HEADER_MAGIC: number = word++;
export const HEADER_BUFFER_SIZE: number = word++;
export const HEADER_THREADS: number = word++;
export const HEADER_LANE: number = word++;
/** Identities of the flusher and the pool, as in the flusher's header. */
export const HEADER_FLUSHER: number = word++;
export const HEADER_POOL: number = word;
word += POOL_IDENTITY_WORDS;
/** The shape of the ring: see {@link RingShape}. */
export const HEADER_SEGMENT_BITS: number = word++;
export const HEADER_EPOCH_BITS: number = word++;
export const HEADER_RUN_AFTER: number = word++;
assert(word <= LINE_WORDS, 'header fields must fit in one line');

export const EPOCH: number = LINE_WORDS;

word = 2 * LINE_WORDS;
export const CLAIM: number = word++;
export const DELIVERED: number = word++;
export const DELIVERED_AT: number = word++;
export const FREED: number = word++;
export const TOLD: number = word++;
export const SHUT: number = word++;
export const MEMBERS: number = word++;
export const OWED: number = word++;
assert(word <= 3 * LINE_WORDS, 'delivery fields must fit in one line');
assert(DELIVERED_AT === DELIVERED + 1, 'both are stored in one step');

/** SHUT: the writer has ended. */
export const SHUT_DONE = -1;
const THREADS: number = 3 * LINE_WORDS;

/** Bit of CLAIM: walk once more. */
export const CLAIM_AGAIN: number = 1 << 31;

// Thread record.
const PENDING = 0;
const JOINED: number = TRANSIT_WORDS;
const BADGE: number = TRANSIT_WORDS + 1;
/** LENGTH of a pending record: its buffer is new. */
export const PENDING_IN = 0;
/** LENGTH of a pending record: its buffer has been delivered, and others may read it. */
export const PENDING_OUT = 1;

// Segment record.
export const FILL = 0;
export const BUFFER = 1;

/** FILL below 0: FREE or SEALED. Otherwise OPEN, `entry << offsetBits | offset`. */
const FILL_SEALED: number = 1 << 31;
const FILL_FREE: number = (1 << 31) | (1 << 30);
const FILL_KIND: number = FILL_FREE;

// Entry record.
export const STATE = 0;
export const BEGIN = 1;
export const LENGTH = 2;
export const ENTRY_WORDS = 3;

assert(ENTRY_WORDS === 3 && LINE_WORDS === 32, 'the hot paths multiply by 3 and by 32');

/** Bits of STATE. The others hold the thread or the length. */
export const ENTRY_OPEN: number = 1 << 28;
export const ENTRY_COMMITTED: number = 1 << 29;
export const ENTRY_ABORTED: number = 1 << 30;
export const ENTRY_HELD_UP: number = 1 << 27;
export const ENTRY_HANDED: number = 1 << 26;
export const ENTRY_VALUE: number = ENTRY_HANDED - 1;
/** Below 0: a run. Its other bits are CUT, the thread and the offset. */
export const ENTRY_RUN: number = 1 << 31;
export const ENTRY_CUT: number = 1 << 30;
export const RUN_SLOT_SHIFT = 20;
export const RUN_END: number = (1 << RUN_SLOT_SHIFT) - 1;
assert(THREADS_MAX << RUN_SLOT_SHIFT === ENTRY_CUT, 'a thread fits between CUT and the offset');

/**
 * The number of segments, the bits of an epoch, and the claims in a row after which a thread claims
 * runs. Tests use less of each.
 */
export interface RingShape {
  readonly segmentBits: number;
  readonly epochBits: number;
  readonly runAfter: number;
}

/** Up to sixteen buffers may wait for the receiver, or for a slow reservation. */
export const RING_SHAPE: RingShape = { segmentBits: 4, epochBits: 32, runAfter: 4 };

/**
 * The ring of a writer with headroom or tailroom: it holds half of a small pool. The claimant
 * copies messages that do not fill a segment; if the ring held all buffers, it would find none.
 */
export function ringWithMargins(bufferCount: number): RingShape {
  const segmentBits = Math.min(RING_SHAPE.segmentBits, 30 - Math.clz32(bufferCount));
  return { ...RING_SHAPE, segmentBits: Math.max(1, segmentBits) };
}

/** With fewer entries a segment would waste most of its buffer. */
const ENTRY_BITS_MIN = 11;
const OPEN_BITS = 31;
/** The longest buffer whose offsets leave enough bits for entries. */
export const SHARED_BUFFER_SIZE_MAX: number = (1 << (OPEN_BITS - ENTRY_BITS_MIN)) - 1;
assert(SHARED_BUFFER_SIZE_MAX <= RUN_END, 'an offset fits in the STATE of a run');
/** Bounds the entries of a segment: more than fit at this length are not useful. */
const MESSAGE_BYTES_TYPICAL_MIN = 4;

/** Where each word stands, and how FILL is packed. */
export class SharedWriterLayout {
  readonly segmentCount: number;
  /** Reservations in one segment. */
  readonly entryCount: number;
  readonly wordCount: number;
  // For the hot path, which inlines the methods below.
  readonly segmentMask: number;
  readonly offsetBits: number;
  /** FILL of segment 0; the others follow every 32 words. */
  readonly segments: number;
  /** First word of entry 0 of segment 0. */
  readonly entries: number;
  readonly #segmentBits: number;
  readonly #epochMask: number;

  constructor(bufferSize: number, threadCount: number, shape: RingShape = RING_SHAPE) {
    this.offsetBits = 32 - Math.clz32(bufferSize);
    const useful = Math.ceil(bufferSize / MESSAGE_BYTES_TYPICAL_MIN) + 1;
    this.entryCount = Math.min(2 ** (OPEN_BITS - this.offsetBits) - 1, useful);
    this.segmentCount = 1 << shape.segmentBits;
    this.segmentMask = this.segmentCount - 1;
    this.#segmentBits = shape.segmentBits;
    this.#epochMask = shape.epochBits === 32 ? -1 : (1 << shape.epochBits) - 1;
    this.segments = THREADS + threadCount * LINE_WORDS;
    this.entries = this.segments + this.segmentCount * LINE_WORDS;
    this.wordCount = this.entries + this.segmentCount * this.entryCount * ENTRY_WORDS;
  }

  /** The layout of a block whose header is written. */
  static of(words: Words): SharedWriterLayout {
    const shape = {
      segmentBits: words[HEADER_SEGMENT_BITS],
      epochBits: words[HEADER_EPOCH_BITS],
      runAfter: words[HEADER_RUN_AFTER],
    };
    return new SharedWriterLayout(words[HEADER_BUFFER_SIZE], words[HEADER_THREADS], shape);
  }

  /** The epoch `steps` after another; before it if negative. */
  after(epoch: number, steps: number): number {
    return (epoch + steps) & this.#epochMask;
  }

  /** FILL while it waits for `epoch`. */
  free(epoch: number): number {
    return FILL_FREE | ((epoch & this.#epochMask) >>> this.#segmentBits);
  }

  /** FILL, or a position in a segment. */
  open(entry: number, offset: number): number {
    return (entry << this.offsetBits) | offset;
  }

  sealed(entries: number): number {
    return FILL_SEALED | entries;
  }

  isSealed(fill: number): boolean {
    return (fill & FILL_KIND) === FILL_SEALED;
  }

  /** Number of reservations that FILL shows. */
  entriesOf(fill: number): number {
    if (fill >= 0) return fill >>> this.offsetBits;
    return this.isSealed(fill) ? fill ^ FILL_SEALED : 0;
  }

  offsetOf(open: number): number {
    return open & ((1 << this.offsetBits) - 1);
  }

  /**
   * The epoch of the open reservation whose entry stands at word `entry`; `present` is EPOCH. It is
   * one of the last sixteen.
   */
  epochOfOpen(entry: number, present: number): number {
    const place = Math.floor((entry - this.entries) / (this.entryCount * ENTRY_WORDS));
    return this.after(present, -((present - place) & this.segmentMask));
  }

  pending(slot: number): number {
    return THREADS + slot * LINE_WORDS + PENDING;
  }

  /** Counts thread `slot`'s writer objects. */
  joined(slot: number): number {
    return THREADS + slot * LINE_WORDS + JOINED;
  }

  badge(slot: number): number {
    return THREADS + slot * LINE_WORDS + BADGE;
  }

  segment(epoch: number): number {
    return this.segments + (epoch & this.segmentMask) * LINE_WORDS;
  }

  entry(epoch: number, entry: number): number {
    return this.entries + ((epoch & this.segmentMask) * this.entryCount + entry) * ENTRY_WORDS;
  }
}
