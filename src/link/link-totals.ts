// SPDX-License-Identifier: MIT
/** `LinkTotals`: the counters of many links, those that have closed included. */

import type { LinkStats } from './link.ts';

/** Sums of the counters of links. */
export class LinkTotals {
  readonly #past: Record<keyof LinkStats, number> = zero();

  /** Keeps the counters of a link that has closed. */
  add(link: { stats(): LinkStats }): void {
    addTo(this.#past, link.stats());
    // Nothing waits in a closed link.
    this.#past.queuedBytes = 0;
  }

  /** With those of links that are open. */
  with(links: Iterable<{ stats(): LinkStats }>): LinkStats {
    const sums = { ...this.#past };
    for (const link of links) addTo(sums, link.stats());
    return sums;
  }
}

function zero(): Record<keyof LinkStats, number> {
  return {
    bytesRead: 0,
    reads: 0,
    pauses: 0,
    exhaustions: 0,
    bytesWritten: 0,
    writes: 0,
    queuedBytes: 0,
    lostBytes: 0,
    stalls: 0,
  };
}

function addTo(sums: Record<keyof LinkStats, number>, stats: LinkStats): void {
  for (const key of Object.keys(sums) as (keyof LinkStats)[]) sums[key] += stats[key];
}
