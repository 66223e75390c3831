// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { arbitrarySeed, Random } from '../../src/base/random.ts';
import { judge, theilSenSlope } from './verdict.ts';

const MIB = 2 ** 20;
const MINUTES = 20;

/** Values of a run, one per minute. */
function series(valueAt: (minute: number) => number): number[] {
  return Array.from({ length: MINUTES }, (_, minute) => valueAt(minute));
}

test('the slope is that of a line, and a third of outliers does not move it', () => {
  expect(theilSenSlope([3, 5, 7, 9])).toBe(2);
  const line = series((minute) => 10 * minute);
  for (const outlier of [2, 7, 11, 13, 16]) line[outlier] = 5000;
  expect(theilSenSlope(line)).toBeGreaterThan(5);
  expect(theilSenSlope(series((minute) => (minute === 15 ? 1e9 : 7)))).toBe(0);
});

test('noise around a level is flat, whatever the seed', () => {
  const seed = arbitrarySeed();
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const noisy = series(() => 100 * MIB + random.between(-2 * MIB, 2 * MIB));
    expect(judge('rss', noisy).isFlat, `seed ${seed}, ${noisy}`).toBe(true);
    // Of ±2, one series in 7 500 has a trend of more than the 4 that are allowed.
    const descriptors = series(() => 40 + random.between(-1, 1));
    expect(judge('descriptors', descriptors).isFlat, `seed ${seed}, ${descriptors}`).toBe(true);
  }
});

test('growth during the warm-up is flat', () => {
  const values = series((minute) => (minute < 5 ? 10 + 10 * minute : 60) * MIB);
  expect(judge('heap', values).isFlat).toBe(true);
});

test('a leak is found in noise: one buffer, descriptor or array of 2 KiB each second', () => {
  const seed = arbitrarySeed();
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const noise = random.between(-3, 3);
    const descriptors = series((minute) => 40 + noise + 60 * minute);
    expect(judge('descriptors', descriptors).isFlat, `seed ${seed}`).toBe(false);
    const buffers = series((minute) => 100 + random.between(-50, 50) + 60 * minute);
    expect(judge('buffers in use', buffers).isFlat, `seed ${seed}, ${buffers}`).toBe(false);
    const heap = series((minute) => 8 * MIB + 60 * 2048 * minute + random.below(MIB / 4));
    expect(judge('heap', heap).isFlat, `seed ${seed}, ${heap}`).toBe(false);
  }
});

test('a leak that begins late is found once it goes on for as long as everything before', () => {
  const late = series((minute) => 20 * MIB + Math.max(0, minute - 10) * MIB);
  expect(judge('heap', late).isFlat).toBe(false);
});

test('what falls is flat, but not a rate', () => {
  const falling = series((minute) => 100 - 4 * minute);
  expect(judge('descriptors', falling).isFlat).toBe(true);
  expect(judge('rate', falling).isFlat).toBe(false);
  expect(
    judge(
      'rate',
      series((minute) => 100 + 4 * minute),
    ).isFlat,
  ).toBe(true);
});

test('a load that stands still for a minute is not flat', () => {
  expect(
    judge(
      'rate',
      series((minute) => (minute === 12 ? 0 : 100)),
    ).isFlat,
  ).toBe(false);
});

test('a run that is too short is not judged', () => {
  expect(() => judge('heap', [1, 1, 1])).toThrow(RangeError);
  expect(judge('heap', [1, 1, 1, 1]).isFlat).toBe(true);
});
