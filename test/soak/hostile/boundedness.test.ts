// SPDX-License-Identifier: MIT
/** Hostile soak: what counts as bounded. */

import { expect, test } from 'vitest';
import { type Count, crowdOf, outOfBounds, type Third, yardsticksOf } from './boundedness.ts';

const BOUNDS = { yardsticks: 50, clients: 116, seconds: 60 };
const CALM = { connections: 100, lingering: 0, overdue: 0 };

/** Messages of this many yardsticks each, on a machine that is so many times slower. */
function third(yardsticks: number, slowness: number = 1): Third {
  const yardstickUs = 10_000 * slowness;
  return { messageUs: yardsticks * yardstickUs, yardstickUs, ...CALM };
}

test('what takes as many yardsticks in each third is bounded, however slow the machine is', () => {
  expect(outOfBounds([third(10), third(12), third(9)], BOUNDS)).toEqual([]);
  expect(outOfBounds([third(10), third(12, 9), third(9, 30)], BOUNDS)).toEqual([]);
  expect(yardsticksOf({ ...CALM, messageUs: 5, yardstickUs: 0 })).toBe(0);
});

test('what takes too long, or longer and longer, is not', () => {
  expect(outOfBounds([third(10), third(51), third(9)], BOUNDS)).toEqual([
    'third 2: p99 is 51.0 yardsticks, more than 50',
  ]);
  // As it was: 1 s after 20 s, 3 s after a minute.
  expect(outOfBounds([third(10), third(20), third(30)], BOUNDS)).toEqual([
    'p99 grew from 10.0 to 30.0 yardsticks',
  ]);
  // Also if the machine is less busy in the end.
  const last = { ...CALM, messageUs: 100_000, yardstickUs: 3000 };
  expect(outOfBounds([third(10), third(10), last], BOUNDS).length).toBe(1);
  expect(outOfBounds([third(0.1), third(1), third(1.9)], BOUNDS)).toEqual([]);
  expect(outOfBounds([third(10), third(20), third(30)], { ...BOUNDS, seconds: 30 })).toEqual([]);
});

test('connections of clients that have left do not pile up', () => {
  const crowded = (lingering: number, overdue: number): Third => ({
    ...third(10),
    lingering,
    overdue,
  });
  expect(outOfBounds([crowded(0, 0), crowded(116, 0), crowded(3, 0)], BOUNDS)).toEqual([]);
  expect(outOfBounds([crowded(0, 0), crowded(0, 1), crowded(117, 0)], BOUNDS)).toEqual([
    'third 2: 1 connections 10 s after their clients had left',
    'third 3: always at least 117 connections more than were open, 116 may linger',
  ]);
});

test('how many linger and are overdue follows from what was opened and left', () => {
  const at = (seconds: number, connections: number, opened: number, left: number): Count => {
    return { atMs: 1000 * seconds, connections, opened, left };
  };
  // As it was in a run of 20 minutes: after a late turn, once, all are there that came and went.
  const late = [at(0, 86, 1100, 1030), at(10, 291, 1400, 1330), at(20, 79, 1500, 1435)];
  expect(crowdOf(late, 0, 16)).toEqual({ connections: 291, lingering: 0, overdue: 0 });
  // Those that the second count should have lost are still there in the third.
  const kept = [at(0, 86, 1100, 1030), at(10, 291, 1400, 1330), at(20, 291, 1500, 1435)];
  expect(crowdOf(kept, 1, 16)).toEqual({ connections: 291, lingering: 205, overdue: 105 });
  // Nobody is known to have left for so long.
  expect(crowdOf(kept.slice(0, 1), 0, 16).overdue).toBe(0);
  expect(crowdOf([], 0, 16)).toEqual({ connections: 0, lingering: 0, overdue: 0 });
});
