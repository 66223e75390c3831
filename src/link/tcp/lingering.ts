// SPDX-License-Identifier: MIT
/** How long a quiet reader keeps a buffer that packets lie in, so that small packets share one. */

import { assert } from '../../base/assert.ts';
import { startTicking, stopTimer, type Timer } from '../../base/clock.ts';
import type { Framer } from '../../framer/index.ts';
import { type BufferPool, NO_BUFFER } from '../../pool/index.ts';

/** A reader that is quiet from one tick to the next keeps its buffer no longer: 50 to 100 ms. */
const TICK_MS = 50;

const NOT_LINGERING = -1;

/** A reader whose framer may hold a buffer. */
export interface LingeringReader {
  readonly reads: number;
  readonly paused: boolean;
  /** Nothing is delivered any more. */
  readonly isOver: boolean;
}

/** The buffer of one reader's framer, between one read and the next. */
export class LingeringBuffer {
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

  /** Gives the buffer back: now, or, if packets lie in it, when nothing has come for a while. */
  release(): void {
    const framer = this.#framer;
    const bufferId = framer.frameBufferId;
    if (bufferId === NO_BUFFER) return;
    if (this.#pool.isSoleHolder(bufferId)) {
      framer.releaseIdle();
    } else if (this.#readsThen === NOT_LINGERING) {
      this.#readsThen = this.#reader.reads;
      linger(this);
    }
  }

  /** @internal A tick has passed. Returns whether the buffer lingers on. */
  tick(): boolean {
    assert(this.#readsThen !== NOT_LINGERING, 'who is asked lingers');
    const { reads, paused, isOver } = this.#reader;
    assert(reads >= this.#readsThen, 'no read is undone');
    if (!isOver && reads !== this.#readsThen) {
      this.#readsThen = reads;
      return true;
    }
    // A program that has paused may still look at the frame that it took last.
    if (!isOver && paused) return true;
    this.#readsThen = NOT_LINGERING;
    // It stays where a frame has begun, or the kernel may write.
    if (!isOver && this.#pool.isAttached) this.#framer.releaseIdle();
    return false;
  }
}

/** All of this thread, which share one timer. It does not keep the event loop alive. */
const lingering = new Set<LingeringBuffer>();
let ticking: Timer | undefined;

function linger(buffer: LingeringBuffer): void {
  lingering.add(buffer);
  if (ticking !== undefined) return;
  ticking = startTicking(TICK_MS, tickAll);
  ticking.current.unref();
}

function tickAll(): void {
  for (const buffer of lingering) if (!buffer.tick()) lingering.delete(buffer);
  if (lingering.size > 0) return;
  stopTimer(ticking);
  ticking = undefined;
}
