// SPDX-License-Identifier: MIT
/** A writer for one thread: the way of overlapping reservations into the lane. */

import { type BufferPool, NO_BUFFER } from '../pool/index.ts';
import type { Lane } from './lane.ts';
import type { SpaceWait } from './space-wait.ts';
import type { Region, SpanQueue } from './span-queue.ts';
import type { ResolvedWriterOptions } from './writer-options.ts';

/** Appends the committed runs of a queue of spans to the lane. */
export class SpanSettling {
  readonly #pool: BufferPool;
  readonly #lane: Lane;
  readonly #spans: SpanQueue;
  readonly #waiting: SpaceWait;
  readonly #headroom: number;
  readonly #hasRooms: boolean;

  constructor(
    lane: Lane,
    spans: SpanQueue,
    waiting: SpaceWait,
    { headroom, tailroom }: ResolvedWriterOptions,
  ) {
    this.#pool = waiting.pool;
    this.#lane = lane;
    this.#spans = spans;
    this.#waiting = waiting;
    this.#headroom = headroom;
    this.#hasRooms = headroom + tailroom > 0;
  }

  /**
   * Appends every region before the first open reservation to the lane. False: some have to wait.
   */
  settle(): boolean {
    const spans = this.#spans;
    for (let region = spans.takeRegion(); region; region = spans.takeRegion()) {
      let ready: Region | undefined;
      let isDone = false;
      try {
        ready = this.#withRooms(region);
        if (ready === undefined) return false;
        isDone = this.#lane.append(ready.bufferId, ready.begin, ready.end - ready.begin);
        if (!isDone) return false;
      } finally {
        if (!isDone) spans.putBack(ready ?? region);
      }
    }
    return true;
  }

  /**
   * The region with headroom and tailroom that are its own. What overlapped other reservations has
   * neighbours there, which a packet may still read: it is copied into a buffer of its own.
   * Undefined: no buffer is free.
   */
  #withRooms(region: Region): Region | undefined {
    if (region.spaced || !this.#hasRooms) return region;
    const pool = this.#pool;
    const id = this.#waiting.tryAcquire();
    if (id === NO_BUFFER) return undefined;
    const begin = pool.offsetOf(id) + this.#headroom;
    pool.bytes.copyWithin(begin, region.begin, region.end);
    pool.release(region.bufferId);
    this.#waiting.atHand = NO_BUFFER;
    return { bufferId: id, begin, end: begin + region.end - region.begin, spaced: true };
  }
}
