// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { sharedNowMs } from '../base/clock.ts';
import { DRAINING, HANDLED, PARKED, RECORD_WORDS, RUNNING, TURNS } from './executor-layout.ts';
import { Gauges } from './gauges.ts';

test('what one object writes another one reads', () => {
  const block = Gauges.createBlock(2);
  const writer = new Gauges(block, 1, sharedNowMs());
  const reader = new Gauges(block, 1, 0);
  writer.become(RUNNING);
  writer.badge = 2051;
  writer.addTurns(7);
  writer.addHandled(5);
  writer.addDropped(2);
  writer.addPark();
  writer.counters[15] = -4;
  expect(reader.badge).toBe(2051);
  expect(reader.read()).toMatchObject({
    state: 'running',
    turns: 7,
    handled: 5,
    dropped: 2,
    parks: 1,
    counters: [...new Array(15).fill(0), -4],
  });
  writer.badge = 0;
  expect(reader.badge).toBe(0);
  const neighbour = new Gauges(block, 0, 0).read();
  expect(neighbour).toMatchObject({ state: 'starting', turns: 0, handled: 0 });
});

test('counts run on beyond 32 bits', () => {
  const block = Gauges.createBlock(1);
  const gauges = new Gauges(block, 0, 0);
  const words = new Int32Array(block);
  words[HANDLED] = -1;
  words[TURNS] = -10;
  gauges.addHandled(3);
  gauges.addTurns(5);
  expect(gauges.read()).toMatchObject({ handled: 2 ** 32 + 2, turns: 2 ** 32 - 5 });
});

test('the time since the last turn counts for those who are awake, also after 24 days', () => {
  const weeks = 60 * 24 * 3_600_000;
  for (const epochMs of [sharedNowMs(), sharedNowMs() - weeks]) {
    const gauges = new Gauges(Gauges.createBlock(1), 0, epochMs);
    for (const state of [RUNNING, DRAINING]) {
      gauges.become(state);
      gauges.showTurn();
      const { sinceTurnMs } = gauges.read();
      expect(sinceTurnMs).toBeGreaterThanOrEqual(0);
      expect(sinceTurnMs).toBeLessThan(weeks);
    }
    gauges.become(PARKED);
    expect(gauges.read().sinceTurnMs).toBe(0);
  }
});

test('records of two executors are more than a pair of cache lines apart', () => {
  const block = Gauges.createBlock(1);
  const first = new Gauges(block, 0, 0).counters;
  const second = new Gauges(block, 1, 0).counters;
  expect(second.byteOffset - first.byteOffset).toBe(RECORD_WORDS * 4);
  expect(second.byteOffset - first.byteOffset - first.byteLength).toBeGreaterThanOrEqual(128);
});
