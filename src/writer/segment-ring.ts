// SPDX-License-Identifier: MIT
/** A writer for many threads: the life of its segments, and of the buffers in them. */

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
  EPOCH,
  FILL,
  FREED,
  type SharedWriterLayout,
} from './shared-writer-layout.ts';
import type { SpaceWait } from './space-wait.ts';

/** What of a writer's options a segment needs. */
export interface SegmentSpace {
  readonly headroom: number;
  /** End of the space in every buffer, relative to its begin. */
  readonly limit: number;
}

/**
 * Begins segments for those who reserve, and frees them for the claimant.
 *
 * A buffer on its way into a segment, or out of it, is in this thread's pending record, which is
 * empty between calls; after an exception it need not be, and the next call goes on with it.
 */
export class SegmentRing {
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #layout: SharedWriterLayout;
  readonly #space: SegmentSpace;
  readonly #waiting: SpaceWait;
  readonly #pending: number;
  /** Fourth word of a packet in transit that carries one share, as that of a new buffer does. */
  readonly #oneShare: number;

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
   * Sees to it that `space` bytes can be reserved: begins the next segment if the present one has
   * no room. Returns false: not now.
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
        // After the look at FILL: what was there before it was freed is gone.
        if (this.#hasBuffer(segment)) {
          const open = layout.open(0, this.#space.headroom);
          compareExchange(words, segment + FILL, fill, open);
          continue;
        }
      } else if (fill >= 0 || layout.isSealed(fill)) {
        const next = layout.after(epoch, 1);
        const isFree = loadAcquire(words, layout.segment(next) + FILL) === layout.free(next);
        // A segment with room for less is not sealed before there is a buffer for the next.
        if (isFree && (fill < 0 || this.#hasBuffer(layout.segment(next)))) {
          const sealed = layout.sealed(layout.entriesOf(fill));
          if (fill < 0 || compareExchange(words, segment + FILL, fill, sealed) === fill) {
            // SYNC(epoch): moves everyone on.
            compareExchange(words, EPOCH, epoch, next);
          }
          continue;
        }
      }
      // If others have moved on meanwhile, this was about the past.
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
    if (words[pending + TRANSIT_MARK] === 0) {
      const id = this.#waiting.tryAcquire();
      if (id === NO_BUFFER) return false;
      pool.sendInto(id, pool.offsetOf(id), 0, words, pending);
      this.#waiting.atHand = NO_BUFFER;
      assert(
        words[pending + TRANSIT_MARK] === this.#oneShare,
        'a new buffer must travel with one share',
      );
    }
    const named = words[pending + TRANSIT_ID] + 1;
    // SYNC(buffer): shows the buffer to whoever opens the segment. Straight on, the reference is no
    // longer in the pending record.
    compareExchangeThenStore(words, segment + BUFFER, 0, named, pending + TRANSIT_MARK, 0);
    // If another thread was faster.
    this.#dropPending();
    return true;
  }

  /** The claimant: gives back the segments that are delivered to their end. */
  freeDelivered(): void {
    const words = this.#words;
    while (words[FREED] !== words[DELIVERED]) this.#free(words[FREED]);
  }

  #free(epoch: number): void {
    const words = this.#words;
    const layout = this.#layout;
    const segment = layout.segment(epoch);
    const next = layout.after(epoch, 1);
    // The next one is free, as all before this one are: see the layout.
    if (loadSeqCst(words, EPOCH) === epoch) compareExchange(words, EPOCH, epoch, next);
    const first = layout.entry(epoch, 0);
    const count = layout.entriesOf(loadAcquire(words, segment + FILL));
    words.fill(0, first, first + 2 * count);
    this.#takeBuffer(segment);
    // SYNC(segment): publishes the cleared entries to whoever opens it. Straight on, it is done.
    const free = layout.free(layout.after(epoch, layout.segmentCount));
    storeThenStore(words, segment + FILL, free, words, FREED, next);
    this.#dropPending();
  }

  /** Nobody uses the writer any more: gives back every buffer that is in a segment. */
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
    // SYNC(buffer): whoever finds none may put one there. Straight on, without a call: the share
    // is either the segment's or the pending record's.
    storeRelease(words, segment + BUFFER, 0);
    words[pending + TRANSIT_ID] = id;
    words[pending + TRANSIT_OFFSET] = offset;
    words[pending + TRANSIT_LENGTH] = 0;
    words[pending + TRANSIT_MARK] = this.#oneShare;
  }

  /** Releases what is in the pending record, if anything. */
  #dropPending(): void {
    this.dropOf(this.#pool.threadSlot);
  }

  /** Releases what a dead thread had in its pending record, which is locked. */
  dropOf(slot: number): void {
    const waiting = this.#waiting;
    const pending = this.#layout.pending(slot);
    if (this.#words[pending + TRANSIT_MARK] === 0) return;
    waiting.dropAtHand();
    waiting.atHand = this.#pool.receiveFrom(this.#words, pending);
    waiting.dropAtHand();
  }

  /** This object is done: gives back what an exception has left with it. */
  close(): void {
    this.#dropPending();
  }
}
