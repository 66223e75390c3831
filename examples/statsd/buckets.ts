// SPDX-License-Identifier: MIT
/**
 * Example statsd: values of a timer by their size, in buckets that grow by a constant factor.
 *
 * Whatever lies in a bucket is within {@link ACCURACY} of its middle, so percentiles are, too; and
 * buckets of many collectors can be added up, which no percentiles can.
 *
 * Source: Masson, Rim and Lee, "DDSketch", 2019.
 */

/** How far a percentile is off, at most, as a part of itself. */
export const ACCURACY = 0.01;

const GROWTH = (1 + ACCURACY) / (1 - ACCURACY);
const PER_OCTAVE = 1 / Math.log2(GROWTH);
/** Above all exponents of numbers, so that the number of a bucket has the sign of its values. */
const ORIGIN = 1 << 16;

/** The bucket of a finite value: 0 for zero, and with the sign of the value. */
export function bucketOf(value: number): number {
  if (value === 0) return 0;
  const size = Math.ceil(Math.log2(Math.abs(value)) * PER_OCTAVE) + ORIGIN;
  return value < 0 ? -size : size;
}

/** The middle of a bucket. Buckets are in the order of their numbers. */
export function middleOf(bucket: number): number {
  if (bucket === 0) return 0;
  const size = (2 * GROWTH ** (Math.abs(bucket) - ORIGIN)) / (GROWTH + 1);
  return bucket < 0 ? -size : size;
}
