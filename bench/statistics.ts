// SPDX-License-Identifier: MIT
/** Order statistics for the benchmark reports: medians and quartiles, never means. */

/**
 * The value below which the fraction `q` of `values` lies, interpolated between neighbours.
 * `values` may be unsorted.
 */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError('quantile of no values');
  const sorted = values.toSorted((left, right) => left - right);
  const position = q * (sorted.length - 1);
  const index = Math.floor(position);
  const low = sorted[index];
  const high = sorted[Math.min(index + 1, sorted.length - 1)];
  return low + (high - low) * (position - index);
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
