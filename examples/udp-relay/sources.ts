// SPDX-License-Identifier: MIT
/** Example udp-relay: the known sources, with the counts of their messages. */

import { LossCounter, type LossCounts } from './loss-counter.ts';

interface Known {
  readonly counter: LossCounter;
  seenMs: number;
}

/** At most this many; further ones are relayed, but not counted. */
export const SOURCES_MAX = 4096;

/** Counts by source; one that is silent for long is forgotten, but stays in the sums. */
export class Sources {
  readonly #known: Map<number, Known> = new Map();
  readonly #gone: { -readonly [Key in keyof LossCounts]: number } = {
    ...{ received: 0, lost: 0, duplicates: 0, reordered: 0, late: 0 },
  };
  /** Messages of sources for which there was no place. */
  uncounted: number = 0;

  get count(): number {
    return this.#known.size;
  }

  /** Records a message of a source, or with `isCount` a COUNT. */
  accept(source: number, sequence: number, isCount: boolean, nowMs: number): void {
    let known = this.#known.get(source);
    if (known === undefined) {
      if (this.#known.size >= SOURCES_MAX) {
        if (!isCount) this.uncounted++;
        return;
      }
      known = { counter: new LossCounter(), seenMs: nowMs };
      this.#known.set(source, known);
    }
    known.seenMs = nowMs;
    if (isCount) known.counter.announce(sequence);
    else known.counter.accept(sequence);
  }

  /** Forgets sources that have been silent since `sinceMs`. */
  sweep(sinceMs: number): void {
    for (const [source, { counter, seenMs }] of this.#known) {
      if (seenMs >= sinceMs) continue;
      addCounts(this.#gone, counter);
      this.#known.delete(source);
    }
  }

  /** Of all sources that ever were. */
  totals(): LossCounts {
    const sum = { ...this.#gone };
    for (const { counter } of this.#known.values()) addCounts(sum, counter);
    return sum;
  }
}

function addCounts(sum: { -readonly [Key in keyof LossCounts]: number }, more: LossCounts): void {
  sum.received += more.received;
  sum.lost += more.lost;
  sum.duplicates += more.duplicates;
  sum.reordered += more.reordered;
  sum.late += more.late;
}
