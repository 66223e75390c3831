// SPDX-License-Identifier: MIT
/**
 * Soak: decides whether a series is flat.
 *
 * A series has one value per minute. Its *trend* is the Theil–Sen slope of the minutes after the
 * warm-up (the median of the slopes between all pairs of them, which a third of outliers does not
 * move) times the minutes between the first and the last of them: the total growth. A series is
 * flat unless its trend exceeds a fraction of its median and the usual variation of the quantity.
 * A trend in the good direction is flat.
 *
 * The slope is implemented here because the one library that was found had not been maintained for
 * two years, and it is ten lines.
 */

import { median } from '../../bench/statistics.ts';
import type { Quantity } from './reading.ts';

/** What a load is judged by, beside what its processes are. */
export type LoadQuantity = 'rate' | 'latency';

interface Rule {
  /** Where more is better, a loss is what counts. */
  readonly moreIsBetter?: boolean;
  /** Of the median. */
  readonly fraction: number;
  /** In the quantity's own unit: below this nothing is a trend. */
  readonly floor: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** Heaps and buffers in bytes, delays in milliseconds, latencies in microseconds. */
export const RULES: Readonly<Record<Quantity | LoadQuantity, Rule>> = {
  heap: { fraction: 0.1, floor: MIB },
  external: { fraction: 0.1, floor: 512 * KIB },
  'array buffers': { fraction: 0.1, floor: 512 * KIB },
  rss: { fraction: 0.05, floor: 8 * MIB },
  descriptors: { fraction: 0.1, floor: 4 },
  'buffers in use': { fraction: 0.2, floor: 8 },
  'loop delay': { fraction: 0.5, floor: 20 },
  rate: { fraction: 0.3, floor: 0, moreIsBetter: true },
  latency: { fraction: 0.5, floor: 5000 },
};

/** Fewer minutes after the warm-up show no trend. */
export const JUDGED_MINUTES_MIN = 3;

export interface TrendVerdict {
  readonly isFlat: boolean;
  readonly median: number;
  /** By how much it has become worse over the minutes judged; negative: better. */
  readonly trend: number;
  /** As much is allowed. */
  readonly allowed: number;
}

/** The first quarter of a run: code is compiled, caches and pools find their size. */
export function warmUpOf(minutes: number): number {
  return Math.ceil(minutes / 4);
}

/**
 * Judges the values, one per minute, the warm-up among them. A load that stands still for a minute
 * is not flat.
 */
export function judge(quantity: Quantity | LoadQuantity, values: readonly number[]): TrendVerdict {
  const { fraction, floor, moreIsBetter = false } = RULES[quantity];
  const judged = values.slice(warmUpOf(values.length));
  if (judged.length < JUDGED_MINUTES_MIN) {
    throw new RangeError(`${judged.length} minutes after the warm-up are too few to judge`);
  }
  const middle = median(judged);
  const growth = theilSenSlope(judged) * (judged.length - 1);
  const trend = moreIsBetter ? -growth : growth;
  const allowed = Math.max(fraction * Math.abs(middle), floor);
  const stoodStill = quantity === 'rate' && judged.includes(0);
  return { isFlat: trend <= allowed && !stoodStill, median: middle, trend, allowed };
}

/** Per minute. */
export function theilSenSlope(values: readonly number[]): number {
  const slopes: number[] = [];
  for (let i = 0; i < values.length; i++) {
    for (let j = i + 1; j < values.length; j++) slopes.push((values[j] - values[i]) / (j - i));
  }
  return median(slopes);
}
