// SPDX-License-Identifier: MIT
/** The buffer pool under the model checker when threads die: whatever they were doing, reclaim loses nothing. */

import { expect, test } from 'vitest';
import type { BufferPool as Pool } from '../../src/pool/index.ts';
import { explore, formatFailure, type ModelOptions, mortal, type Scenario } from './index.ts';
import {
  checkAllFree,
  isClearedPlainly,
  isHint,
  isOwnerWord,
  makePool,
  type PoolModule,
  type PoolShape,
  type PoolShared,
  poolWordName,
} from './pool-scenarios.ts';

const poolModule = await mortal<PoolModule>('pool/index.ts');
const { BufferPool, NO_BUFFER } = poolModule;

type Body = Scenario<PoolShared>['threads'][string];

function attached(
  body: (pool: Pool, shared: PoolShared) => unknown,
  before?: (pool: Pool) => unknown,
): Body {
  return (shared, self) => {
    const pool = BufferPool.attach(shared.handle);
    self.publish(pool.threadSlot);
    before?.(pool);
    self.begin();
    return body(pool, shared);
  };
}

function scenario(
  name: string,
  shape: PoolShape,
  threads: Scenario<PoolShared>['threads'],
  rest: Partial<Scenario<PoolShared>> = {},
): Scenario<PoolShared> {
  return {
    name,
    setup: () => makePool(poolModule, shape),
    threads,
    prepares: [...Object.keys(threads), 'supervisor'],
    racy: (shared) => (block, word) =>
      isHint(shared, block, word) ||
      isOwnerWord(shared, block, word) ||
      isClearedPlainly(shared, block, word),
    nameWord: (shared) => (block, word) => poolWordName(shared, block, word),
    supervisor: (shared, dead, self) => {
      const pool = BufferPool.attach(shared.handle);
      self.begin();
      pool.reclaim(dead.published[0] as number);
    },
    check: checkAllFree,
    ...rest,
  };
}

async function passes(scenario: Scenario<PoolShared>, options: ModelOptions): Promise<void> {
  const report = await explore(scenario, {
    states: 60_000,
    kills: 1,
    deaths: 'entries',
    ...options,
  });
  console.log(
    `${scenario.name}: ${report.schedules} schedules, ${report.ended} to their end, ${report.states} states, ` +
      `${report.kills} kills, ${Math.round(report.elapsedMs)} ms${report.complete ? ', complete' : ''}`,
  );
  expect(formatFailure(report)).toBe('');
}

test('a thread dies while it refills and overflows', async () => {
  const shape = { bufferCount: 3, batchSize: 1, maxThreads: 3 };
  const body = attached((pool) => {
    const first = pool.tryAcquire();
    const second = pool.tryAcquire();
    if (first !== NO_BUFFER) pool.release(first);
    if (second !== NO_BUFFER) pool.release(second);
  });
  await passes(scenario('death: refill and overflow', shape, { a: body, b: body }), {
    preemptions: 1,
  });
});

test('a waiter or the one that serves it dies', async () => {
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 3 };
  const body = attached((pool) => pool.release(pool.acquireSync()));
  await passes(scenario('death: acquireSync', shape, { a: body, b: body }), { preemptions: 1 });
});

test('the sender or the receiver of a buffer dies', async () => {
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 3 };
  const threads = {
    sender: attached((pool, { words }) => {
      const id = pool.tryAcquire();
      pool.retain(id);
      pool.sendInto(id, pool.offsetOf(id), 4, words, 1);
      Atomics.store(words, 0, 1);
      pool.release(id);
    }),
    receiver: attached((pool, { words }) => {
      if (Atomics.load(words, 0) === 0) return;
      pool.release(pool.receiveFrom(words, 1));
    }),
  };
  await passes(
    scenario('death: send and receive', shape, threads, {
      check: (shared) => {
        const words = new Int32Array(shared.handle.control);
        const inTransit = (shared.words[4] & 0xffff) !== 0;
        if (!inTransit) checkAllFree(shared);
        else if (words[shared.layout.buffer(0)] !== -1)
          throw new Error('in transit, but not shared');
      },
    }),
    { preemptions: 1 },
  );
});

test('a hoarder or its waiter dies', async () => {
  const shape = { bufferCount: 2, batchSize: 2, maxThreads: 3 };
  const threads = {
    hoarder: attached(
      () => undefined,
      (pool) => {
        const first = pool.tryAcquire();
        const second = pool.tryAcquire();
        pool.release(first);
        pool.release(second);
      },
    ),
    waiter: attached((pool) => pool.release(pool.acquireSync())),
  };
  await passes(scenario('death: pressure', shape, threads), { preemptions: 1 });
});

test('two threads reclaim the same dead one', async () => {
  const shape = { bufferCount: 2, batchSize: 1, maxThreads: 3 };
  const threads = {
    mortal: attached((pool) => {
      const first = pool.tryAcquire();
      const second = pool.tryAcquire();
      if (first !== NO_BUFFER) pool.release(first);
      if (second !== NO_BUFFER) pool.release(second);
    }),
    other: attached((pool) => {
      pool.reclaimDead();
      const id = pool.tryAcquire();
      if (id !== NO_BUFFER) pool.release(id);
    }),
  };
  await passes(scenario('death: two reclaimers', shape, threads, { killable: ['mortal'] }), {
    preemptions: 2,
  });
});

test('a thread dies while it reclaims another', async () => {
  const shape = { bufferCount: 2, batchSize: 1, maxThreads: 4 };
  const threads = {
    mortal: attached((pool) => {
      const first = pool.tryAcquire();
      const second = pool.tryAcquire();
      if (first !== NO_BUFFER) pool.release(first);
      if (second !== NO_BUFFER) pool.release(second);
    }),
    other: attached((pool) => {
      pool.reclaimDead();
    }),
  };
  await passes(
    scenario('death: of a reclaimer', shape, threads, {
      supervisor: (shared, _dead, self) => {
        const pool = BufferPool.attach(shared.handle);
        self.begin();
        pool.reclaimDead();
      },
    }),
    { preemptions: 1, kills: 2 },
  );
});
