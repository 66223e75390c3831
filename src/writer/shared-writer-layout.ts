// SPDX-License-Identifier: MIT
/**
 * The writers' room, shared by many threads, as a plan: the words of one SharedWriter.
 *
 *   one block, in lines of 32 words (128 bytes)
 *   ┌────────┬────────┬─────────┬──────────────┬───────────────┬─────────────────┐
 *   │ header │ cursor │ deliver │ thread 0…T−1 │ segment 0…15  │ entries 16·E    │
 *   │ 1 line │ 1 line │ 1 line  │ 1 line each  │ 1 line each   │ 2 words each    │
 *   └────────┴────────┴─────────┴──────────────┴───────────────┴─────────────────┘
 *
 *   word      unit            written by                     read by      access
 *   CURSOR    position        whoever reserves or switches   the same     atomic, SYNC(cursor)
 *   CLAIM     see below       whoever flushes                the same     atomic, SYNC(claim)
 *   DELIVERED position        the claimant                   the same     plain, by SYNC(claim)
 *   SHUT      see below       the last member to leave       recover()    plain, one writer
 *   MEMBERS   objects         whoever joins or leaves        the same     atomic, SYNC(members)
 *   thread t: pending words   thread t                       recover()    plain, one writer
 *     members objects         thread t; recover(): → 0       everyone     atomic
 *   segment:
 *     BUFFER  id + 1, or 0    installer: 0 → id + 1;         everyone     atomic, SYNC(segment)
 *                             the claimant: → 0
 *     ENDED   entries + 1     whoever moved CURSOR past it   the claimant atomic, SYNC(segment-end)
 *     words   packet words    installer, then the claimant   the claimant plain, by SYNC(segment)
 *   entry:
 *     STATE   see below       who reserved it, then whoever  the claimant atomic, SYNC(entry)
 *                             ends it
 *     LENGTH  bytes reserved  who reserved it                the claimant plain, by SYNC(entry)
 *
 * A position is { epoch, entry, offset } in one word: the segment is `epoch mod 16`, `entry` counts
 * its reservations, `offset` is the next free byte. One compare-exchange takes an entry and its
 * bytes together, so entries lie in the buffer in their order, and the claimant walks them to find
 * the longest committed run. Nobody ever waits for another thread's reservation.
 *
 *   CLAIM =  0                  nobody flushes
 *   CLAIM =  t + 1              thread t does
 *   CLAIM = (t + 1) | AGAIN     thread t does, and looks once more before it stops
 *
 *   SHUT =  0                   members are left
 *   SHUT =  t + 1               thread t ends the writer: gives everything back
 *   SHUT = −1                   done, and the lane is closed
 *
 *   STATE =  0                     reserved, or not yet: the walk stops here
 *   STATE = OPEN | t               reserved by thread t
 *   STATE = OPEN | HELD_UP | t     the same; a flush stopped here: whoever ends it flushes again
 *   STATE = OPEN | HANDED | t      thread t has handed it over, nobody has taken it over; HELD_UP
 *                                  or not
 *   STATE = COMMITTED | length     a message of `length` bytes, at most LENGTH
 *   STATE = ABORTED                nothing
 *
 *   free(BUFFER = 0) ──install──▶ current ──CURSOR moves on: ENDED──▶ ended ──all delivered──▶ free
 */

import { assert } from '../base/assert.ts';
import { SEND_PACKET_WORDS } from '../packet/index.ts';

const LINE_WORDS = 32;

export const SHARED_WRITER_MAGIC = 0x73687772;
export const SHARED_WRITER_VERSION = 1;

let word = 0;
export const HEADER_MAGIC: number = word++;
export const HEADER_BUFFER_SIZE: number = word++;
export const HEADER_THREADS: number = word++;
export const HEADER_LANE: number = word++;
/** The flusher's and the pool's numbers, as in the flusher's header. */
export const HEADER_FLUSHER: number = word++;
export const HEADER_POOL: number = word++;
assert(word <= LINE_WORDS, 'header fields must fit in one line');

export const CURSOR: number = LINE_WORDS;
export const CLAIM: number = 2 * LINE_WORDS;
export const DELIVERED: number = 2 * LINE_WORDS + 1;
export const SHUT: number = 2 * LINE_WORDS + 2;
export const MEMBERS: number = 2 * LINE_WORDS + 3;

/** SHUT when nothing is left to do. */
export const SHUT_DONE = -1;
const PENDING: number = 3 * LINE_WORDS;

/** Bit of CLAIM: look once more. */
export const CLAIM_AGAIN: number = 1 << 30;

// Segment record.
word = 0;
export const BUFFER: number = word++;
export const ENDED: number = word++;
export const REFERENCE: number = word;
word += SEND_PACKET_WORDS;
assert(word <= LINE_WORDS, 'segment fields must fit in one line');

// Entry record.
export const STATE = 0;
export const LENGTH = 1;
const ENTRY_WORDS = 2;

assert(ENTRY_WORDS === 2 && LINE_WORDS === 32, 'the hot paths shift by 1 and by 5');

/** Bits of STATE. What remains holds the thread, or the length. */
export const ENTRY_OPEN: number = 1 << 28;
export const ENTRY_COMMITTED: number = 1 << 29;
export const ENTRY_ABORTED: number = 1 << 30;
export const ENTRY_HELD_UP: number = 1 << 27;
export const ENTRY_HANDED: number = 1 << 26;
export const ENTRY_VALUE: number = ENTRY_HANDED - 1;

/** Segments in the ring: so many buffers may wait for the receiver, or for a slow reservation. */
export const SEGMENTS = 16;
assert(SEGMENTS === 16, 'the hot path takes the epoch modulo 16 with a mask');
/** At least two laps of the ring, so that a position says which lap it belongs to. */
const EPOCH_BITS_MIN: number = Math.log2(2 * SEGMENTS);
/** Fewer entries than this in a segment would waste most of its buffer. */
const ENTRY_BITS_MIN = 7;
/** The longest buffer whose offsets leave enough bits for entries. */
export const SHARED_BUFFER_SIZE_MAX: number = (1 << (32 - EPOCH_BITS_MIN - ENTRY_BITS_MIN)) - 1;
/** No more entries than messages of this length fit. */
const MESSAGE_BYTES_TYPICAL_MIN = 4;

/** Where everything stands, and how a position is packed. */
export class SharedWriterLayout {
  /**
   * Epochs run modulo this. All bits that are left: a thread that sleeps for so many epochs between
   * its look and its compare-exchange may take a position for the one it saw.
   */
  readonly epochCount: number;
  /** Reservations in one segment. */
  readonly entryCount: number;
  readonly wordCount: number;
  // For the hot path, which does by itself what the methods below do.
  /** A position is `epoch << epochShift | entry << offsetBits | offset`. */
  readonly epochShift: number;
  readonly offsetBits: number;
  readonly entryMask: number;
  /** First word of segment 0; the others follow every 32 words. */
  readonly segments: number;
  /** First word of entry 0 of segment 0; entries take 2 words. */
  readonly entries: number;

  constructor(bufferSize: number, threadCount: number) {
    this.offsetBits = 32 - Math.clz32(bufferSize);
    const useful = Math.ceil(bufferSize / MESSAGE_BYTES_TYPICAL_MIN) + 1;
    const usefulBits = 32 - Math.clz32(useful);
    const entryBits = Math.min(32 - EPOCH_BITS_MIN - this.offsetBits, usefulBits);
    this.entryMask = (1 << entryBits) - 1;
    this.epochShift = entryBits + this.offsetBits;
    this.epochCount = 2 ** (32 - this.epochShift);
    this.entryCount = Math.min(this.entryMask, useful);
    this.segments = PENDING + threadCount * LINE_WORDS;
    this.entries = this.segments + SEGMENTS * LINE_WORDS;
    this.wordCount = this.entries + SEGMENTS * this.entryCount * ENTRY_WORDS;
  }

  position(epoch: number, entry: number, offset: number): number {
    return (epoch << this.epochShift) | (entry << this.offsetBits) | offset;
  }

  epochOf(position: number): number {
    return position >>> this.epochShift;
  }

  entryOf(position: number): number {
    return (position >>> this.offsetBits) & this.entryMask;
  }

  nextEpoch(epoch: number): number {
    return (epoch + 1) % this.epochCount;
  }

  /**
   * The epoch of the open reservation whose entry stands at word `entry`, `cursor` being a later
   * position: it is among the last sixteen.
   */
  epochOfOpen(entry: number, cursor: number): number {
    const index = Math.floor((entry - this.entries) / (this.entryCount * ENTRY_WORDS));
    const epoch = this.epochOf(cursor);
    const behind = ((epoch % SEGMENTS) - index + SEGMENTS) % SEGMENTS;
    return (epoch - behind + this.epochCount) % this.epochCount;
  }

  /** How many epochs `later` is ahead of `earlier`. */
  epochsBetween(earlier: number, later: number): number {
    return (later - earlier + this.epochCount) % this.epochCount;
  }

  offsetOf(position: number): number {
    return position & ((1 << this.offsetBits) - 1);
  }

  pending(slot: number): number {
    return PENDING + slot * LINE_WORDS;
  }

  /** The word that counts thread `slot`'s writer objects. */
  members(slot: number): number {
    return PENDING + slot * LINE_WORDS + SEND_PACKET_WORDS;
  }

  segment(epoch: number): number {
    return this.segments + (epoch % SEGMENTS) * LINE_WORDS;
  }

  entry(epoch: number, entry: number): number {
    return this.entries + ((epoch % SEGMENTS) * this.entryCount + entry) * ENTRY_WORDS;
  }
}
