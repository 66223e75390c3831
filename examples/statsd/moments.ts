// SPDX-License-Identifier: MIT
/**
 * Example statsd: sums that stay finite, and a mean and deviation that are accurate for large
 * values which are close together.
 *
 * The sum of squares minus the square of the sum would lose all digits (for 10⁹ + 1, 2, 3 it is 0).
 * Here a value moves the mean by its share of the distance, and only proportions are squared, never
 * values; so nothing overflows.
 *
 * Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm", 1979.
 */

import { DEVIATION, MEAN, WEIGHT } from './metric-kinds.ts';

/** Clamps a number to the finite range, since Graphite and JSON know no infinity. */
export function finite(value: number): number {
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value));
}

/** {@link finite} in place: a number passed between functions may be allocated. */
export function clamp(numbers: Float64Array, at: number): void {
  if (numbers[at] > Number.MAX_VALUE) numbers[at] = Number.MAX_VALUE;
  else if (numbers[at] < -Number.MAX_VALUE) numbers[at] = -Number.MAX_VALUE;
}

/** {@link combine} for the value `values[i]`, `weight[0]` times, without allocation. */
export function addValue(
  numbers: Float64Array,
  at: number,
  values: Float64Array,
  i: number,
  weight: Float64Array,
): void {
  const before = numbers[at + WEIGHT];
  numbers[at + WEIGHT] += weight[0];
  if (numbers[at + WEIGHT] === Infinity) clamp(numbers, at + WEIGHT);
  if (before === 0) {
    numbers[at + MEAN] = values[i];
    numbers[at + DEVIATION] = 0;
    return;
  }
  const total = numbers[at + WEIGHT];
  const share = weight[0] / total;
  const kept = before / total;
  const half = values[i] / 2 - numbers[at + MEAN] / 2;
  numbers[at + MEAN] += half * share;
  numbers[at + MEAN] += half * share;
  const apart = Math.abs(half * (2 * Math.sqrt(share) * Math.sqrt(kept)));
  const within = numbers[at + DEVIATION] * Math.sqrt(kept);
  const most = apart > within ? apart : within;
  const ratio = most === 0 ? 0 : (apart > within ? within : apart) / most;
  numbers[at + DEVIATION] = most * Math.sqrt(1 + ratio * ratio);
}

/** Adds `weight` values with this mean and deviation to the entry at `numbers[at]`. */
export function combine(
  numbers: Float64Array,
  at: number,
  weight: number,
  mean: number,
  deviation: number,
): void {
  const before = numbers[at + WEIGHT];
  const total = finite(before + weight);
  numbers[at + WEIGHT] = total;
  if (before === 0) {
    numbers[at + MEAN] = mean;
    numbers[at + DEVIATION] = deviation;
    return;
  }
  const share = weight / total;
  const kept = before / total;
  // Half the distance: the whole one may overflow.
  const half = mean / 2 - numbers[at + MEAN] / 2;
  numbers[at + MEAN] += half * share;
  numbers[at + MEAN] += half * share;
  const apart = half * (2 * Math.sqrt(share) * Math.sqrt(kept));
  const within = hypotenuse(
    numbers[at + DEVIATION] * Math.sqrt(kept),
    deviation * Math.sqrt(share),
  );
  numbers[at + DEVIATION] = hypotenuse(within, apart);
}

/** √(a² + b²) without overflow, and without the allocation of Math.hypot. */
function hypotenuse(a: number, b: number): number {
  const most = Math.max(Math.abs(a), Math.abs(b));
  if (most === 0) return 0;
  const ratio = Math.min(Math.abs(a), Math.abs(b)) / most;
  return most * Math.sqrt(1 + ratio * ratio);
}
