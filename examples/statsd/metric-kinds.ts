// SPDX-License-Identifier: MIT
/** Example statsd: the kinds of entries, and the numbers of each. */

/** A sum. */
export const COUNTER = 0;
/** The last value. */
export const GAUGE = 1;
/** Many values: milliseconds, histograms, distributions. */
export const TIMER = 2;
/** The number of different values. */
export const SET = 3;
/** One value of a set; its parent is the set. */
export const MEMBER = 4;
/** Nearly equal values of a timer; its parent is the timer. */
export const BUCKET = 5;

export type MetricKind = typeof COUNTER | typeof GAUGE | typeof TIMER | typeof SET;
export type Kind = MetricKind | typeof MEMBER | typeof BUCKET;

/** A counter's sum, a bucket's weight. */
export const SUM = 0;
/** Gauge: its value, or, if it was never set, the sum of its changes. */
export const LEVEL = 0;
/** Gauge: when it was last set, in milliseconds; 0: never. */
export const SET_AT = 1;
/** Timer: the number of values, including those left out by sampling. */
export const WEIGHT = 1;
/** Timer: mean and deviation of the values; see moments.ts. */
export const MEAN = 2;
export const DEVIATION = 3;
export const LEAST = 4;
export const MOST = 5;
export const NUMBERS_MAX = 6;

/** The number of numbers that an entry of each kind has. */
export const NUMBERS: readonly number[] = [1, 2, NUMBERS_MAX, 0, 0, 1];
