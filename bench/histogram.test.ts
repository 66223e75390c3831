// SPDX-License-Identifier: MIT
/** The percentiles of the latency benchmarks. */

import { expect, test } from 'vitest';
import { Histogram } from './histogram.ts';

test('percentiles are those of the sorted values, within one per cent', () => {
  const histogram = new Histogram();
  const values: number[] = [];
  for (let i = 0; i < 5000; i++) {
    const value = (i * 7919) % 5000 ** 2;
    values.push(value);
    histogram.record(value);
  }
  values.sort((left, right) => left - right);
  expect(histogram.total).toBe(5000);
  for (const q of [0, 0.01, 0.5, 0.99, 0.999, 1]) {
    const exact = values[Math.max(0, Math.ceil(q * values.length) - 1)];
    expect(Math.abs(histogram.quantile(q) - exact)).toBeLessThanOrEqual(exact / 100);
  }
});

test('every value finds a bucket, and buckets join without a gap', () => {
  for (const value of [0, 1, 255, 256, 257, 511, 512, 65_535, 2 ** 30, 2 ** 31 - 1, 2 ** 40, -3]) {
    const histogram = new Histogram();
    histogram.record(value);
    const held = Math.min(Math.max(value, 0), 2 ** 31 - 1);
    expect(Math.abs(histogram.quantile(0.5) - held)).toBeLessThanOrEqual(held / 100);
  }
  expect(() => new Histogram().quantile(0.5)).toThrow(RangeError);
});

test('what was written as JSON adds up again', () => {
  const first = new Histogram();
  first.record(10);
  first.record(3000);
  const sum = new Histogram();
  sum.add(first.toCounts());
  sum.add(JSON.parse(JSON.stringify(first.toCounts())));
  expect(sum.total).toBe(4);
  expect(sum.quantile(0.5)).toBe(10);
});
