// SPDX-License-Identifier: MIT
/** The arithmetic behind the benchmark table. */

import { expect, test } from 'vitest';
import { CALIBRATION_ID } from './calibration.bench.ts';
import { type BucketCount, Histogram } from './histogram.ts';
import { coresTakenByOthers, idlestCore } from './machine.ts';
import { type CaseResult, figuresOf } from './report.ts';
import { median, quantile } from './statistics.ts';

test('quantiles interpolate between neighbours and leave their argument alone', () => {
  const values = [4, 1, 3, 2];
  expect(median(values)).toBe(2.5);
  expect(quantile(values, 0)).toBe(1);
  expect(quantile(values, 1)).toBe(4);
  expect(quantile([7], 0.75)).toBe(7);
  expect(values).toEqual([4, 1, 3, 2]);
  expect(() => median([])).toThrow(RangeError);
});

test('targets are judged in units of the same run', () => {
  const figures = figuresOf(
    [
      { id: CALIBRATION_ID, nsPerOp: [9, 10, 11], disturbed: false },
      { id: 'pool/try-acquire-release', nsPerOp: [2, 2.9, 4], disturbed: false },
      { id: 'packet/clone-release', nsPerOp: [19, 20, 21], disturbed: true },
      { id: 'framer/60B-u32', nsPerOp: [20], disturbed: false },
      { id: 'baseline/rest-framer-60B', nsPerOp: [19], disturbed: false },
      { id: 'channel/spsc-stream', nsPerOp: [33], disturbed: false },
      { id: 'hop/one-way-64B', nsPerOp: [50.5], disturbed: false },
    ],
    [40, 40, 40],
  );
  expect(figures.map(({ a }) => a)).toEqual([1, 0.29, 0.5, 2, 1.9, 3.3, 5.05]);
  expect(figures.map(({ reached }) => reached)).toEqual([
    null,
    true,
    true,
    false,
    null,
    true,
    false,
  ]);
});

test('without what it is compared with, a target is neither reached nor missed', () => {
  const [framer] = figuresOf([{ id: 'framer/60B-u32', nsPerOp: [20], disturbed: false }], []);
  expect(framer).toMatchObject({ a: null, reached: null, nsPerOp: 20, runs: 1 });
});

test('latency targets judge the median of single operations, and all conditions must hold', () => {
  const spin = (ns: number): CaseResult => ({
    id: 'hop/round-trip-spin',
    nsPerOp: [5000],
    latencies: latenciesOf([ns, ns, 90_000]),
    disturbed: false,
  });
  const others: CaseResult[] = [
    { id: CALIBRATION_ID, nsPerOp: [10], disturbed: false },
    {
      id: 'baseline/post-message-round-trip',
      nsPerOp: [9000],
      latencies: latenciesOf([7000]),
      disturbed: false,
    },
  ];
  const judge = (...results: CaseResult[]): unknown => figuresOf(results, []).at(-1)?.reached;
  expect(judge(...others, spin(190))).toBe(true);
  expect(judge(...others, spin(250))).toBe(false);
  expect(judge(...others, spin(600))).toBe(false);
  expect(judge(spin(190))).toBe(null);
  const figures = figuresOf([...others, spin(190)], []).at(-1);
  expect(figures).toMatchObject({ latencyNs: { p50: 190, count: 3 }, nsPerOp: 5000, a: 19 });
});

test('a case may be judged against several others, and must be no slower than each', () => {
  const judge = (copyNs: number, eachNs: number): unknown =>
    figuresOf(
      [
        { id: 'tcp/60B-framed', nsPerOp: [100], disturbed: false },
        { id: 'tcp/copy-64KiB', nsPerOp: [copyNs], disturbed: false },
        { id: 'tcp/write-each', nsPerOp: [eachNs], disturbed: false },
      ],
      [],
    )[0].reached;
  expect(judge(121, 4000)).toBe(true);
  expect(judge(119, 4000)).toBe(false);
  expect(judge(121, 3999)).toBe(false);
});

test('what other programs take is what is neither idle nor ours', () => {
  expect(coresTakenByOthers([0, 0], [500, 100], 1000, 900)).toBeCloseTo(0.5);
  expect(coresTakenByOthers([], [], 1000, 900)).toBe(0);
});

test('the idlest core is picked wherever it stands', () => {
  const cores = new Array<number>(1024).fill(0);
  expect(idlestCore(cores, cores.with(3, 90))).toBe(3);
  expect(idlestCore(cores, cores.with(1023, 90))).toBe(1023);
});

function latenciesOf(values: readonly number[]): readonly BucketCount[] {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram.toCounts();
}
