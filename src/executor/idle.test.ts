// SPDX-License-Identifier: MIT
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AGAIN, IdleStrategy, NEXT_TURN, PARK } from './idle.ts';

let now = 0;

beforeEach(() => {
  now = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** When an idle strategy goes over to polling and to parking, in milliseconds, step by step. */
function stages(strategy: IdleStrategy): { poll: number; park: number } {
  const begin = now;
  let poll = Number.NaN;
  for (;;) {
    const answer = strategy.next();
    if (answer === PARK) return { poll, park: now - begin };
    if (answer === NEXT_TURN && Number.isNaN(poll)) poll = now - begin;
    now += 0.001;
  }
}

test('the fixed strategies always answer the same', () => {
  for (const [kind, answer] of [
    ['spin', AGAIN],
    ['poll', NEXT_TURN],
    ['park', PARK],
  ] as const) {
    const strategy = new IdleStrategy(kind);
    for (let i = 0; i < 3; i++) {
      expect(strategy.next()).toBe(answer);
      now += 100;
      strategy.busy();
    }
  }
});

test('adaptive spins, then polls, then parks, and stays parked', () => {
  const strategy = new IdleStrategy('adaptive');
  const { poll, park } = stages(strategy);
  expect(poll).toBeCloseTo(0.005, 2);
  expect(park).toBeCloseTo(0.2, 1);
  now += 1e6;
  expect(strategy.next()).toBe(PARK);
});

test('adaptive waits less where waiting does not pay off, down to a limit', () => {
  const strategy = new IdleStrategy('adaptive');
  const parks: number[] = [];
  for (let i = 0; i < 6; i++) {
    parks.push(stages(strategy).park);
    // Long after it has parked.
    now += 50;
    strategy.busy();
  }
  expect(parks.slice(0, 4)).toEqual([...parks.slice(0, 4)].sort((a, b) => b - a));
  expect(parks[5]).toBeCloseTo(0.05, 2);
});

test('adaptive waits longer where that pays off, or would have, up to a limit', () => {
  const strategy = new IdleStrategy('adaptive');
  for (let i = 0; i < 20; i++) {
    strategy.next();
    now += 0.5;
    strategy.next();
    strategy.busy();
  }
  expect(stages(strategy).park).toBeCloseTo(1, 1);
  for (let i = 0; i < 20; i++) {
    strategy.next();
    now += 0.01;
    strategy.next();
    strategy.busy();
  }
  expect(stages(strategy).poll).toBeCloseTo(0.02, 2);
});

test('being busy costs no look at the clock', () => {
  const strategy = new IdleStrategy('adaptive');
  strategy.busy();
  expect(performance.now).not.toHaveBeenCalled();
});
