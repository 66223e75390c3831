// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { compareFigures } from './compare.ts';
import type { CaseFigures } from './report.ts';

function figures(id: string, a: number, p25: number, ns: number, p75: number): CaseFigures {
  const rest = { min: p25, runs: 9, latencyNs: null, note: null, babA: null, target: null };
  return { ...rest, id, a, p25, nsPerOp: ns, p75, reached: null, disturbed: false };
}

test('a difference within the quartiles, or of less than three percent, is none', () => {
  const before = [
    figures('calibration/atomics-add', 1, 9, 10, 11),
    figures('clear', 2, 19, 20, 21),
    figures('wide', 2, 10, 20, 30),
    figures('narrow', 2, 19.9, 20, 20.1),
    figures('worse', 2, 19, 20, 21),
    figures('gone', 2, 19, 20, 21),
  ];
  // A machine half as fast: twice the nanoseconds are the same in A.
  const after = [
    figures('calibration/atomics-add', 1, 18, 20, 22),
    figures('clear', 1, 19, 20, 21),
    figures('wide', 1.5, 20, 30, 40),
    figures('narrow', 2.05, 40.9, 41, 41.1),
    figures('worse', 3, 58, 60, 62),
    figures('new', 2, 38, 40, 42),
  ];
  expect(compareFigures(before, after).map(({ id, verdict }) => [id, verdict])).toEqual([
    ['clear', 'faster'],
    ['wide', 'no difference'],
    ['narrow', 'no difference'],
    ['worse', 'slower'],
  ]);
  expect(compareFigures(before, after)[0].ratio).toBe(0.5);
});
