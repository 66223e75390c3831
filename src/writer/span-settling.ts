// SPDX-License-Identifier: MIT
/** Moves committed runs of a LocalWriter's overlapping reservations into its lane. */

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
  readonly #hasMargins: boolean;

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
    this.#hasMargins = headroom + tailroom > 0;
  }

  /** Appends every region before the first open reservation. False: some did not fit. */
  settle(): boolean {
    const spans = this.#spans;
    for (let region = spans.takeRegion(); region; region = spans.takeRegion()) {
      let ready: Region | undefined;
      let isDone = false;
      try {
        ready = this.#withMargins(region);
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
   * Returns the region with headroom and tailroom. A region next to other reservations lacks them,
   * since packets may still read the neighbours' bytes; it is copied into a new buffer. Undefined:
   * no buffer is free.
   */
  #withMargins(region: Region): Region | undefined {
    if (region.spaced || !this.#hasMargins) return region;
    const pool = this.#pool;
    const id = this.#waiting.tryAcquire();
    if (id === NO_BUFFER) return undefined;
    const begin = pool.offsetOf(id) + this.#headroom;
    pool.arena.copy(begin, region.begin, region.end - region.begin);
    pool.release(region.bufferId);
    this.#waiting.atHand = NO_BUFFER;
    return { bufferId: id, begin, end: begin + region.end - region.begin, spaced: true };
  }
}
