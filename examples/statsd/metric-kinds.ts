// SPDX-License-Identifier: MIT
/** Example statsd: what kinds of entries there are, and the numbers that each is made of. */

/** A sum. */
export const COUNTER = 0;
/** The last value. */
export const GAUGE = 1;
/** Many values: milliseconds, histograms, distributions. */
export const TIMER = 2;
/** How many different values. */
export const SET = 3;
/** One of the values of a set; below the set. */
export const MEMBER = 4;
/** Values of a timer that are nearly equal; below the timer. */
export const BUCKET = 5;

export type MetricKind = typeof COUNTER | typeof GAUGE | typeof TIMER | typeof SET;
export type Kind = MetricKind | typeof MEMBER | typeof BUCKET;

/** A counter's sum, a bucket's weight. */
export const SUM = 0;
/** Gauge: the value since it was set, or what was added if it never was. */
export const LEVEL = 0;
/** Gauge: when it was last set, in milliseconds; 0: never. */
export const SET_AT = 1;
/** Timer: how many values, those left out by sampling included. */
export const WEIGHT = 1;
/** Timer: the values' mean and deviation; see moments.ts. */
export const MEAN = 2;
export const DEVIATION = 3;
export const LEAST = 4;
export const MOST = 5;
export const NUMBERS_MAX = 6;

/** How many numbers an entry of each kind has. */
export const NUMBERS: readonly number[] = [1, 2, NUMBERS_MAX, 0, 0, 1];
