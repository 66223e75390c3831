// SPDX-License-Identifier: MIT
/** Times single round trips, and subtracts the cost of the clock itself. */

import type { Histogram } from './histogram.ts';

const NS_PER_MS = 1e6;
const CLOCK_READS = 2000;

/**
 * Puts times between `begin` and `end` into a histogram.
 *
 * A reading of the clock costs as much as half a round trip of two spinning threads, so a case may
 * time only every few of its trips; and one reading (the median of many, taken when this is
 * made) is taken off each time.
 */
export class Stopwatch {
  readonly histogram: Histogram;
  private readonly clockNs: number = clockCostNs();
  private begunMs = 0;

  constructor(histogram: Histogram) {
    this.histogram = histogram;
  }

  begin(): void {
    this.begunMs = performance.now();
  }

  end(): void {
    this.histogram.record((performance.now() - this.begunMs) * NS_PER_MS - this.clockNs);
  }
}

/** What lies between two readings of the clock with nothing between them. */
export function clockCostNs(): number {
  const costs = new Float64Array(CLOCK_READS);
  for (let i = 0; i < CLOCK_READS; i++) {
    const beganMs = performance.now();
    costs[i] = (performance.now() - beganMs) * NS_PER_MS;
  }
  return costs.sort()[CLOCK_READS >> 1];
}
