// SPDX-License-Identifier: MIT
/**
 * Example statsd: sums that stay numbers, and a mean and deviation that are right for values which
 * are large and close together.
 *
 * The sum of the squares less the square of the sum loses all digits there (of 10⁹ + 1, 2, 3 it
 * makes 0). Here a value moves the mean by its share of the distance, and no square is ever taken
 * of a value, only of proportions: nothing overflows.
 *
 * Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm", 1979.
 */

import { DEVIATION, MEAN, WEIGHT } from './metric-kinds.ts';

/** A number as it is; what runs beyond the largest one stands there, as Graphite and JSON know no
 * infinity. */
export function finite(value: number): number {
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value));
}

/** {@link finite} in place: a number that goes from function to function may be allocated. */
export function clamp(numbers: Float64Array, at: number): void {
  if (numbers[at] > Number.MAX_VALUE) numbers[at] = Number.MAX_VALUE;
  else if (numbers[at] < -Number.MAX_VALUE) numbers[at] = -Number.MAX_VALUE;
}

/** {@link combine} for the value `values[i]`, `weight[0]` times, without an allocation. */
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

/** Adds `weight` values with this mean and deviation to those whose numbers begin at `at`. */
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
  // Half the distance: the whole one may be beyond the largest number.
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

/** √(a² + b²) without an overflow on the way, and without what Math.hypot allocates. */
function hypotenuse(a: number, b: number): number {
  const most = Math.max(Math.abs(a), Math.abs(b));
  if (most === 0) return 0;
  const ratio = Math.min(Math.abs(a), Math.abs(b)) / most;
  return most * Math.sqrt(1 + ratio * ratio);
}
