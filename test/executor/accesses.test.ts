// SPDX-License-Identifier: MIT
/**
 * Executors that end, or throw, before each of their accesses to shared memory; with real threads.
 */
import { expect, onTestFailed, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import type { ExecutorSlot } from '../../src/executor/executor-slot.ts';
import type { GroupState } from '../../src/executor/group-state.ts';
import { stride } from '../effort.ts';
import { testSeed } from '../threads/worker-crew.ts';
import { until } from '../turns.ts';
import { company, createPool, ExecutorGroup, expectAllBack, hear, tell } from './company.ts';
import * as deeds from './deeds.ts';

/** Executors 0 and 1 get these, each with a name of its own; all of them end at the host. */
const WAYS = ['echo', 'pass 1 echo', 'pass 1 pass 0 echo', 'pass 0 echo', 'echo', 'pass 1 echo'];
/** Accesses from one round to the next, on average. */
const STRIDE = stride();
const FILE = 'test/executor/accesses.test.ts';
/** So many rounds in a row in which the access was not reached: it does not come any more. */
const UNREACHED_ROUNDS = 3;

test.each([
  ['ends', 'stand'],
  ['throws', 'stumble'],
])(
  'an executor that %s before each access loses no more than what it has in hand',
  {
    timeout: 300_000,
  },
  async (_, deed) => {
    const seed = testSeed();
    onTestFailed(() => console.error(`BUSBAR_TEST_SEED=${seed} npm run test:one -- ${FILE}`));
    const random = new Random(seed);
    const pool = createPool(64);
    const { options, words } = company(pool);
    const restart = { maxRestarts: 10_000, withinMs: 0 };
    const group = await ExecutorGroup.start({
      ...options,
      restart,
      laneCapacity: 16,
      idle: 'park',
    });
    const { slots } = Reflect.get(group, 'state') as GroupState;
    const heard = hear(group);
    const isReached = (): boolean => Atomics.load(words, deeds.AT_GATE) > 0;
    const arrived = (round: number): number =>
      heard.filter(({ text }) => text.startsWith(`echo ${round}.`)).length;
    let kills = 0;
    let access = 0;
    for (let unreached = 0, round = 0; unreached < UNREACHED_ROUNDS; round++) {
      access += 1 + random.below(2 * STRIDE - 1);
      Atomics.store(words, deeds.AT_GATE, 0);
      const { worker } = slots[0] as ExecutorSlot;
      const { restarts } = group.stats()[0] as { restarts: number };
      tell(group, pool, 0, `${deed} ${access}`);
      for (const [i, way] of WAYS.entries()) tell(group, pool, i & 1, `${way} ${round}.${i}`);
      const calm = `calm ${round}`;
      const isCalm = (): boolean => heard.some(({ text }) => text === calm);
      await until(() => isReached() || arrived(round) === WAYS.length);
      tell(group, pool, 0, calm);
      await until(() => isReached() || isCalm());
      if (isReached() && deed === 'stand') worker.terminate();
      // It did not come to that access, the library got over the exception, or it has a successor.
      await until(() => isCalm() || group.stats()[0]?.restarts === restarts + 1);
      unreached++;
      if (!isReached()) continue;
      unreached = 0;
      kills++;
      // The one in its hand may be lost, all others come.
      await until(() => arrived(round) >= WAYS.length - 1);
    }
    const names = heard.map(({ text }) => text);
    expect(new Set(names).size).toBe(names.length);
    expect(kills).toBeGreaterThan(2);
    expect(await group.stop()).toMatchObject({ dropped: 0 });
    await group.closed;
    expectAllBack(pool);
  },
);
