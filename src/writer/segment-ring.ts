// SPDX-License-Identifier: MIT
/** Segments of a SharedWriter: begins them, frees them, and moves buffers in and out. */

import { assert } from '../base/assert.ts';
import {
  compareExchange,
  compareExchangeThenStore,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  storeThenStore,
  type Words,
} from '../base/atomics.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import {
  TRANSIT_ID,
  TRANSIT_LENGTH,
  TRANSIT_MARK,
  TRANSIT_OFFSET,
} from '../pool/transit-layout.ts';
import {
  BUFFER,
  DELIVERED,
  ENTRY_WORDS,
  EPOCH,
  FILL,
  FREED,
  PENDING_IN,
  PENDING_OUT,
  type SharedWriterLayout,
} from './shared-writer-layout.ts';
import type { SpaceWait } from './space-wait.ts';

/** The part of a writer's options that concerns segments. */
export interface SegmentSpace {
  readonly headroom: number;
  /** End of the space in every buffer, relative to its begin. */
  readonly limit: number;
}

/**
 * Begins segments for threads that reserve, and frees them for the claimant.
 *
 * While a buffer moves into a segment or out of it, this thread's pending record holds it. Between
 * calls the record is empty, except after an exception: then the next call uses the buffer if it is
 * new, and releases it if it was leaving its segment.
 */
export class SegmentRing {
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #layout: SharedWriterLayout;
  readonly #space: SegmentSpace;
  readonly #waiting: SpaceWait;
  readonly #pending: number;
  /** MARK of a packet in transit with one share, as a new buffer has. */
  readonly #oneShare: number;
  /** A buffer that an exception kept from being released. Others may still read it. */
  #leaving: BufferId = NO_BUFFER;

  constructor(
    pool: BufferPool,
    words: Words,
    layout: SharedWriterLayout,
    space: SegmentSpace,
    waiting: SpaceWait,
  ) {
    this.#pool = pool;
    this.#words = words;
    this.#layout = layout;
    this.#space = space;
    this.#waiting = waiting;
    this.#pending = layout.pending(pool.threadSlot);
    this.#oneShare = pool.identity | 1;
  }

  /**
   * Makes room for `space` bytes: begins the next segment if the current one lacks it. False: not
   * now.
   */
  makeRoom(space: number): boolean {
    const words = this.#words;
    const layout = this.#layout;
    for (;;) {
      // SYNC(epoch): sees the segments as they were when EPOCH moved here.
      const epoch = loadAcquire(words, EPOCH);
      const segment = layout.segment(epoch);
      // SYNC(segment): sees the entries cleared, if it is FREE.
      const fill = loadAcquire(words, segment + FILL);
      if (fill >= 0 && this.#fits(fill, space)) return true;
      if (fill === layout.free(epoch)) {
        // After the load of FILL, so that this is not the buffer of the segment's last life.
        if (this.#hasBuffer(segment)) {
          const open = layout.open(0, this.#space.headroom);
          compareExchange(words, segment + FILL, fill, open);
          continue;
        }
      } else if (fill >= 0 || layout.isSealed(fill)) {
        const next = layout.after(epoch, 1);
        const isFree = loadAcquire(words, layout.segment(next) + FILL) === layout.free(next);
        // A segment that still has room is sealed only once there is a buffer for the next.
        if (isFree && (fill < 0 || this.#hasBuffer(layout.segment(next)))) {
          const sealed = layout.sealed(layout.entriesOf(fill));
          if (fill < 0 || compareExchange(words, segment + FILL, fill, sealed) === fill) {
            // SYNC(epoch): moves all threads to the next segment.
            compareExchange(words, EPOCH, epoch, next);
          }
          continue;
        }
      }
      // If EPOCH has moved on, the loads above are out of date.
      if (loadSeqCst(words, EPOCH) !== epoch) continue;
      if (loadSeqCst(words, segment + FILL) === fill) return false;
    }
  }

  #fits(fill: number, space: number): boolean {
    const layout = this.#layout;
    return (
      layout.entriesOf(fill) < layout.entryCount &&
      layout.offsetOf(fill) + space <= this.#space.limit
    );
  }

  /** Puts a buffer of this thread into a segment that has none. False: not now. */
  #hasBuffer(segment: number): boolean {
    const words = this.#words;
    const pool = this.#pool;
    const pending = this.#pending;
    if (loadAcquire(words, segment + BUFFER) !== 0) return true;
    if (words[pending + TRANSIT_LENGTH] === PENDING_OUT) this.#dropPending();
    if (words[pending + TRANSIT_MARK] === 0) {
      const id = this.#waiting.tryAcquire();
      if (id === NO_BUFFER) return false;
      if (pool.isSoleHolder(id)) pool.share(id);
      pool.moveInto(id, pool.offsetOf(id), PENDING_IN, words, pending);
      this.#waiting.atHand = NO_BUFFER;
      assert(
        words[pending + TRANSIT_MARK] === this.#oneShare,
        'a new buffer must travel with one share',
      );
    }
    const named = words[pending + TRANSIT_ID] + 1;
    // SYNC(buffer): shows the buffer to the thread that opens the segment; in the same step the
    // reference leaves the pending record.
    compareExchangeThenStore(words, segment + BUFFER, 0, named, pending + TRANSIT_MARK, 0);
    // The buffer is still pending if another thread was faster.
    this.#dropPending();
    return true;
  }

  /** For the claimant: frees the segments that are delivered to their end. */
  freeDelivered(): void {
    const words = this.#words;
    while (words[FREED] !== words[DELIVERED]) this.#free(words[FREED]);
  }

  #free(epoch: number): void {
    const words = this.#words;
    const layout = this.#layout;
    const segment = layout.segment(epoch);
    const next = layout.after(epoch, 1);
    // The next segment is free, since all before this one are: see the layout.
    if (loadSeqCst(words, EPOCH) === epoch) compareExchange(words, EPOCH, epoch, next);
    const first = layout.entry(epoch, 0);
    const count = layout.entriesOf(loadAcquire(words, segment + FILL));
    words.fill(0, first, first + ENTRY_WORDS * count);
    this.#takeBuffer(segment);
    // SYNC(segment): publishes the cleared entries to the thread that opens it, and notes FREED, in
    // one step.
    const free = layout.free(layout.after(epoch, layout.segmentCount));
    storeThenStore(words, segment + FILL, free, words, FREED, next);
    this.#dropPending();
  }

  /** Releases every segment's buffer, once no thread uses the writer. */
  empty(): void {
    for (let place = 0; place < this.#layout.segmentCount; place++) {
      this.#takeBuffer(this.#layout.segment(place));
    }
    this.#dropPending();
  }

  #takeBuffer(segment: number): void {
    this.#dropPending();
    const words = this.#words;
    const pending = this.#pending;
    const id = loadAcquire(words, segment + BUFFER) - 1;
    if (id < 0) return;
    const offset = this.#pool.offsetOf(id as BufferId);
    // SYNC(buffer): from here on another thread may install a buffer. No call until MARK is stored:
    // the share is either the segment's or the pending record's.
    storeRelease(words, segment + BUFFER, 0);
    words[pending + TRANSIT_ID] = id;
    words[pending + TRANSIT_OFFSET] = offset;
    words[pending + TRANSIT_LENGTH] = PENDING_OUT;
    words[pending + TRANSIT_MARK] = this.#oneShare;
  }

  /** Releases the buffer in this thread's pending record, if any. */
  #dropPending(): void {
    this.dropOf(this.#pool.threadSlot);
  }

  /** Releases the buffer in the pending record of `slot`: this thread's, or a locked record's. */
  dropOf(slot: number): void {
    const pending = this.#layout.pending(slot);
    this.#dropLeaving();
    if (this.#words[pending + TRANSIT_MARK] === 0) return;
    this.#leaving = this.#pool.moveFromWords(this.#words, pending);
    this.#dropLeaving();
  }

  #dropLeaving(): void {
    if (this.#leaving === NO_BUFFER) return;
    this.#pool.release(this.#leaving);
    this.#leaving = NO_BUFFER;
  }

  /** Releases a buffer that an exception left in the pending record, or on its way out. */
  close(): void {
    this.#dropPending();
  }
}
