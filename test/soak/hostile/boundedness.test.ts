// SPDX-License-Identifier: MIT
/** Hostile soak: what counts as bounded. */

import { expect, test } from 'vitest';
import { outOfBounds, type Third, yardsticksOf } from './boundedness.ts';

const BOUNDS = { yardsticks: 50, clients: 116, seconds: 60 };

/** Messages of so many yardsticks each, on a machine that is so many times slower. */
function third(yardsticks: number, connections: number = 100, slowness: number = 1): Third {
  const yardstickUs = 10_000 * slowness;
  return { messageUs: yardsticks * yardstickUs, yardstickUs, connections };
}

test('what takes as many yardsticks in each third is bounded, however slow the machine is', () => {
  expect(outOfBounds([third(10), third(12), third(9)], BOUNDS)).toEqual([]);
  expect(outOfBounds([third(10), third(12, 100, 9), third(9, 100, 30)], BOUNDS)).toEqual([]);
  expect(yardsticksOf({ messageUs: 5, yardstickUs: 0, connections: 0 })).toBe(0);
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
  const last = { messageUs: 100_000, yardstickUs: 3000, connections: 100 };
  expect(outOfBounds([third(10), third(10), last], BOUNDS).length).toBe(1);
  expect(outOfBounds([third(0.1), third(1), third(1.9)], BOUNDS)).toEqual([]);
  expect(outOfBounds([third(10), third(20), third(30)], { ...BOUNDS, seconds: 30 })).toEqual([]);
});

test('connections of clients that have left do not pile up', () => {
  expect(outOfBounds([third(10, 114), third(10, 232), third(10, 100)], BOUNDS)).toEqual([]);
  expect(outOfBounds([third(10, 114), third(10, 200), third(10, 292)], BOUNDS)).toEqual([
    '292 connections of 116 clients, more than 232',
  ]);
});
