// SPDX-License-Identifier: MIT
/** Keeps a quiet reader's buffer for a while, so that small packets can share it. */

import { assert } from '../../base/assert.ts';
import type { Framer } from '../../framer/index.ts';
import { type BufferPool, NO_BUFFER } from '../../pool/index.ts';
import { type Ticking, Ticks } from './ticks.ts';

/** A reader that is quiet from one tick to the next releases its buffer: after 50 to 100 ms. */
const TICK_MS = 50;

/** All lingering buffers of this thread. */
const lingering = new Ticks(TICK_MS);

const NOT_LINGERING = -1;

/** A reader whose framer may hold a buffer. */
export interface LingeringReader {
  readonly reads: number;
  readonly paused: boolean;
  /** True once it delivers nothing more. */
  readonly isOver: boolean;
}

/** The buffer of one reader's framer, between one read and the next. */
export class LingeringBuffer implements Ticking {
  readonly #pool: BufferPool;
  readonly #framer: Framer;
  readonly #reader: LingeringReader;
  /** Reads at the last tick; or NOT_LINGERING. */
  #readsThen = NOT_LINGERING;

  constructor(pool: BufferPool, framer: Framer, reader: LingeringReader) {
    this.#pool = pool;
    this.#framer = framer;
    this.#reader = reader;
  }

  /** Releases the buffer: now, or, if packets lie in it, after a while without reads. */
  release(): void {
    const framer = this.#framer;
    const bufferId = framer.frameBufferId;
    if (bufferId === NO_BUFFER) return;
    if (this.#pool.isSoleHolder(bufferId)) {
      framer.releaseIdle();
    } else if (this.#readsThen === NOT_LINGERING) {
      this.#readsThen = this.#reader.reads;
      lingering.begin(this);
    }
  }

  /** @internal Called at each tick. Returns whether the buffer lingers on. */
  tick(): boolean {
    assert(this.#readsThen !== NOT_LINGERING, 'only a lingering buffer gets ticks');
    const { reads, paused, isOver } = this.#reader;
    assert(reads >= this.#readsThen, 'the number of reads never falls');
    if (!isOver && reads !== this.#readsThen) {
      this.#readsThen = reads;
      return true;
    }
    // A program that has paused may still read the last frame.
    if (!isOver && paused) return true;
    this.#readsThen = NOT_LINGERING;
    // The framer keeps it if a frame has begun, or the kernel may write to it.
    if (!isOver && this.#pool.isAttached) this.#framer.releaseIdle();
    return false;
  }
}
