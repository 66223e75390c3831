// SPDX-License-Identifier: MIT
/** `HeldBuffers`: counts the buffers in which regions wait to be sent. */

import { assert } from '../../base/assert.ts';
import { SENDING } from '../../pool/holder-layout.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../../pool/index.ts';

/** Buffers that a link may always hold, so that it can fill one while it sends another. */
const SHARE_MIN = 2;

/** What all outboxes of a pool on this thread hold. */
interface Held {
  /** Runs of regions, by buffer. */
  readonly runs: Uint32Array;
  /** Buffers with such a run. */
  count: number;
}

/**
 * Counts the buffers of one outbox. Successive regions of one buffer, a run, count once.
 *
 * **The fair share** of a link is half of the pool less what all outboxes of the pool on this
 * thread hold; in that sum, a buffer that waits for several links counts once. So one peer that
 * does not read takes up to a quarter of the pool, three take an eighth each. However many they
 * are, half of the pool is left for others, as long as two buffers for each of them fit into the
 * other half. Source: dynamic thresholds (A. K. Choudhury, E. L. Hahne, 1998).
 */
export class HeldBuffers {
  readonly #pool: BufferPool;
  /** The word that counts the references of the regions. */
  #held: number;
  readonly #all: Held;
  readonly #shareMax: number;
  #count = 0;
  #last: BufferId = NO_BUFFER;

  constructor(pool: BufferPool) {
    this.#pool = pool;
    this.#held = pool.holder() + SENDING;
    let all = totals.get(pool);
    if (all === undefined) {
      all = { runs: new Uint32Array(pool.bufferCount), count: 0 };
      totals.set(pool, all);
    }
    this.#all = all;
    this.#shareMax = pool.bufferCount >>> 1;
  }

  /** Counts as part of that holder; before the first region. */
  holdAs(holder: number): void {
    this.#held = holder + SENDING;
  }

  get count(): number {
    return this.#count;
  }

  /** How many this outbox may hold now. */
  get share(): number {
    return Math.max(SHARE_MIN, this.#shareMax - this.#all.count);
  }

  /** Adds a region, after all others. */
  add(bufferId: BufferId): void {
    this.#pool.note(this.#held, 1);
    if (this.#count > 0 && bufferId === this.#last) return;
    this.#last = bufferId;
    this.#count++;
    const all = this.#all;
    if (all.runs[bufferId]++ === 0) all.count++;
  }

  /**
   * Removes the regions in `regions[0, index)` of `[0, end)`. Each takes `fields` numbers; the one
   * at `at` is its buffer.
   */
  removeBefore(
    index: number,
    end: number,
    regions: readonly number[],
    fields: number,
    at: number,
  ): void {
    this.#pool.note(this.#held, -index / fields);
    for (let i = at; i < index; i += fields) {
      const next = i + fields;
      if (next >= end || regions[next] !== regions[i]) this.#remove(regions[i]);
    }
  }

  /** Removes the regions in `regions[index, end)`. No region is added afterwards. */
  removeFrom(
    index: number,
    end: number,
    regions: readonly number[],
    fields: number,
    at: number,
  ): void {
    this.#pool.note(this.#held, (index - end) / fields);
    for (let i = index + at; i < end; i += fields) {
      if (i < fields || regions[i - fields] !== regions[i]) this.#remove(regions[i]);
    }
  }

  /** Removes a run of this buffer's regions. */
  #remove(bufferId: number): void {
    const all = this.#all;
    this.#count--;
    assert(all.runs[bufferId] > 0, 'only what was added is removed');
    if (--all.runs[bufferId] === 0) all.count--;
  }
}

const totals = new WeakMap<BufferPool, Held>();
