// SPDX-License-Identifier: MIT
/** Runs are chosen by the yardstick beside them. */

import { expect, test } from 'vitest';
import { bestYardstickNs, chooseRuns, type Round, undisturbedRuns } from './undisturbed.ts';

function roundOf(isQuiet: boolean, ...yardsticks: readonly number[]): Round {
  const runs = yardsticks.map((yardstickNs, i) => ({ nsPerOp: 100 + i, yardstickNs }));
  return { samples: { id: 'a/case', ops: 1, runs, cpuMs: 1 }, isQuiet };
}

test('a run counts while its core was nearly as fast as ever', () => {
  const rounds = [roundOf(true, 20, 22.9, 23.1, 40), roundOf(true, 30, 21)];
  const best = bestYardstickNs(rounds);
  expect(best).toBe(20);
  expect(undisturbedRuns(rounds, best).map((run) => run.yardstickNs)).toEqual([20, 22.9, 21]);
});

test('none counts of a round in which other programs were busy', () => {
  const rounds = [roundOf(false, 20, 20), roundOf(true, 20)];
  expect(undisturbedRuns(rounds, 20)).toHaveLength(1);
});

test('with too few undisturbed runs all are shown, and marked', () => {
  const few = chooseRuns([roundOf(true, 20, 20, 20, 20, 90)], 20);
  expect(few).toMatchObject({ disturbed: true, runs: { length: 5 } });
  const enough = chooseRuns([roundOf(true, 20, 20, 20, 20, 20, 90)], 20);
  expect(enough).toMatchObject({ disturbed: false, runs: { length: 5 } });
});
