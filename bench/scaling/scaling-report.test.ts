// SPDX-License-Identifier: MIT
/** The arithmetic behind the table of the scaling measurement. */

import { expect, test } from 'vitest';
import { type Round, rowsOf, type Setting, scalingTable } from './scaling-report.ts';
import { handledBetween } from './scaling-work.ts';

function rounds(...rates: readonly number[]): Round[] {
  return rates.map((messagesPerSecond) => ({ messagesPerSecond, coresTaken: 0, unpinned: '' }));
}

test('the rate is judged against the first row of its kind, a mesh against that of two', () => {
  const measured = new Map<Setting, Round[]>([
    [{ traffic: 'independent', pinning: 'cores', executors: 1 }, rounds(10e6, 30e6, 20e6)],
    [{ traffic: 'independent', pinning: 'cores', executors: 4 }, rounds(76e6)],
    [{ traffic: 'independent', pinning: 'none', executors: 1 }, rounds(5e6)],
    [{ traffic: 'mesh', pinning: 'cores', executors: 1 }, rounds(50e6)],
    [{ traffic: 'mesh', pinning: 'cores', executors: 2 }, rounds(20e6)],
    [{ traffic: 'mesh', pinning: 'cores', executors: 4 }, rounds(30e6)],
  ]);
  const rows = rowsOf(measured);
  expect(rows.map(({ ofLinear }) => ofLinear)).toEqual([null, 0.95, null, null, null, 0.75]);
  expect(rows[0]).toMatchObject({ messagesPerSecond: 20e6, fastest: 30e6, slowest: 10e6 });
  const document = { machine: 'm', node: 'v0', commit: 'c', secondsPerRound: 1, rounds: 3, rows };
  expect(scalingTable(document)).toContain(
    '| independent | cores | 4 | 76.00 | 76.00–76.00 | 95 % |',
  );
});

test('counts go round', () => {
  const before = Int32Array.of(2 ** 31 - 10, 5);
  expect(handledBetween(before, Int32Array.of(-(2 ** 31) + 10, 7))).toBe(22);
});
