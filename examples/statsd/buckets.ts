// SPDX-License-Identifier: MIT
/**
 * Example statsd: a histogram of a timer's values, in buckets that grow by a constant factor.
 *
 * Each value is within {@link ACCURACY} of the middle of its bucket, and so is each percentile.
 * Unlike percentiles, buckets of several executors can be added up.
 *
 * Source: Masson, Rim and Lee, "DDSketch", 2019.
 */

/** Largest relative error of a percentile. */
export const ACCURACY = 0.01;

const GROWTH = (1 + ACCURACY) / (1 - ACCURACY);
const PER_OCTAVE = 1 / Math.log2(GROWTH);
/** Larger than any exponent, so that a bucket's number has the sign of its values. */
const ORIGIN = 1 << 16;

/** The bucket number of a finite value: 0 for zero, otherwise with the sign of the value. */
export function bucketOf(value: number): number {
  if (value === 0) return 0;
  const size = Math.ceil(Math.log2(Math.abs(value)) * PER_OCTAVE) + ORIGIN;
  return value < 0 ? -size : size;
}

/** The middle of a bucket. A larger number means a larger middle. */
export function middleOf(bucket: number): number {
  if (bucket === 0) return 0;
  const size = (2 * GROWTH ** (Math.abs(bucket) - ORIGIN)) / (GROWTH + 1);
  return bucket < 0 ? -size : size;
}
