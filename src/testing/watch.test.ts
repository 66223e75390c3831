// SPDX-License-Identifier: MIT
/** Long runs: limits, progress, the environment, and which pairs were met in both orders. */

import { afterEach, expect, test } from 'vitest';
import { explore, type ModelProgress, type Scenario, sample } from './index.ts';
import { environmentOptions } from './model-environment.ts';
import { RunWatch } from './run-watch.ts';

const adds = (count: number) => (words: Int32Array) => {
  for (let i = 0; i < count; i++) Atomics.add(words, 0, 1);
};

const many: Scenario<Int32Array> = {
  name: 'many',
  setup: () => new Int32Array(new SharedArrayBuffer(8)),
  threads: { a: adds(9), b: adds(9), c: adds(9) },
};

afterEach(() => {
  for (const key of Object.keys(process.env)) {
    if (key.startsWith('BUSBAR_MODEL_')) delete process.env[key];
  }
});

test('a run that may take no time is cut short, and says so', async () => {
  const report = await explore(many, { milliseconds: 0 });
  expect(report.complete).toBe(false);
  expect(report.ended).toBeLessThan(2);
  expect((await sample(many, { milliseconds: 0 })).schedules).toBeLessThan(2);
});

test('who asks is told how far it is, now and then', () => {
  const told: ModelProgress[] = [];
  const watch = new RunWatch(Infinity, (progress) => told.push(progress));
  watch.look(() => ({ scenario: 'x', schedules: 1, states: 2 }));
  expect(told).toEqual([]);
  const real = performance.now;
  performance.now = () => real.call(performance) + 1e6;
  watch.look(() => ({ scenario: 'x', schedules: 3, states: 4 }));
  performance.now = real;
  // The clock that a scenario or a test replaces is not the one that counts.
  expect(told).toEqual([]);
});

test('the environment sets seed and bounds, whatever the program says', async () => {
  process.env.BUSBAR_MODEL_SCHEDULES = '3';
  expect((await sample(many, { schedules: 50 })).schedules).toBe(3);
  process.env.BUSBAR_MODEL_SCHEDULES = 'many';
  await expect(explore(many)).rejects.toThrow(/^BUSBAR_MODEL_SCHEDULES must be an integer/);
  const environment = { BUSBAR_MODEL_SEED: '7', BUSBAR_MODEL_PREEMPTIONS: 'Infinity' };
  expect(environmentOptions(environment, ['seed', 'preemptions'])).toEqual({
    seed: 7,
    preemptions: Infinity,
  });
  expect(environmentOptions(environment, ['preemptions'])).toEqual({ preemptions: Infinity });
});

test('coverage tells which accesses were met in one order only', async () => {
  const scenario: Scenario<Int32Array> = {
    name: 'a flag',
    setup: () => new Int32Array(new SharedArrayBuffer(8)),
    threads: {
      a: (words) => {
        words[1] = 1;
        Atomics.store(words, 0, 1);
      },
      b: (words) => {
        if (Atomics.load(words, 0) === 1) return words[1];
        return undefined;
      },
    },
  };
  const { coverage } = await explore(scenario, { coverage: true });
  // The flag's store and load come either way, the word is read after it was written.
  expect(coverage?.both).toBe(1);
  const [pair, ...others] = coverage?.oneOrder ?? [];
  expect(others).toEqual([]);
  const line = (place = ''): number => Number(place.split(':')[1]);
  expect(line(pair?.second)).toBe(line(pair?.first) + 4);
  expect((await explore(scenario)).coverage).toBeUndefined();
});
