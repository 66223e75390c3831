// SPDX-License-Identifier: MIT
/** The buffer pool under the model checker: its modules unchanged, all interleavings within the stated bounds. */

import { expect, test } from 'vitest';
import type { BufferPool as BufferPoolType } from '../../src/pool/index.ts';
import * as poolModule from '../../src/pool/index.ts';
import { explore, formatFailure, type ModelOptions, type Scenario } from './index.ts';
import {
  checkAllFree,
  isHint,
  isOwnerWord,
  isStatistic,
  makePool,
  type PoolModule,
  type PoolShape,
  type PoolShared,
  poolWordName,
} from './pool-scenarios.ts';

const { BufferPool, NO_BUFFER } = poolModule as unknown as PoolModule;
type BufferPool = BufferPoolType;

function poolScenario(
  name: string,
  shape: PoolShape,
  threads: Scenario<PoolShared>['threads'],
  rest: Partial<Scenario<PoolShared>> = {},
): Scenario<PoolShared> {
  return {
    name,
    setup: () => makePool(poolModule as unknown as PoolModule, shape),
    threads,
    prepares: Object.keys(threads),
    racy: (shared) => (block, word) => isHint(shared, block, word),
    nameWord: (shared) => (block, word) => poolWordName(shared, block, word),
    check: checkAllFree,
    ...rest,
  };
}

async function passes(scenario: Scenario<PoolShared>, options: ModelOptions): Promise<void> {
  const report = await explore(scenario, { states: 60_000, ...options });
  console.log(
    `${scenario.name}: ${report.schedules} schedules, ${report.ended} to their end, ${report.states} states, ` +
      `${report.kills} kills, ${Math.round(report.elapsedMs)} ms${report.complete ? ', complete' : ''}`,
  );
  expect(formatFailure(report)).toBe('');
}

type Body = Scenario<PoolShared>['threads'][string];

function attached(
  body: (pool: BufferPool, shared: PoolShared) => unknown,
  before?: (pool: BufferPool) => unknown,
): Body {
  return (shared, self) => {
    const pool = BufferPool.attach(shared.handle);
    before?.(pool);
    self.begin();
    return body(pool, shared);
  };
}

function acquireTwo(pool: BufferPool): void {
  const first = pool.tryAcquire();
  const second = pool.tryAcquire();
  if (first !== NO_BUFFER) pool.release(first);
  if (second !== NO_BUFFER) pool.release(second);
}

test('two threads refill and overflow on shared stripes', async () => {
  const shape = { bufferCount: 3, batchSize: 1, maxThreads: 2 };
  const threads = { a: attached(acquireTwo), b: attached(acquireTwo) };
  await passes(poolScenario('refill and overflow', shape, threads), {});
});

test('three threads refill and overflow on shared stripes', async () => {
  const shape = { bufferCount: 4, batchSize: 2, maxThreads: 3 };
  const threads = { a: attached(acquireTwo), b: attached(acquireTwo), c: attached(acquireTwo) };
  await passes(poolScenario('refill and overflow, three', shape, threads), { preemptions: 2 });
});

test('threads attach and detach while others work', async () => {
  const shape = { bufferCount: 2, batchSize: 1, maxThreads: 2 };
  const body: Body = ({ handle }) => {
    const pool = BufferPool.attach(handle);
    const id = pool.tryAcquire();
    if (id !== NO_BUFFER) pool.release(id);
    pool.detach();
  };
  await passes(
    { ...poolScenario('attach and detach', shape, { a: body, b: body }), prepares: [] },
    { preemptions: 2 },
  );
});

test('a blocked waiter gets the buffer that another thread releases', async () => {
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 2 };
  let id = NO_BUFFER;
  const threads = {
    holder: attached(
      (pool) => pool.release(id),
      (pool) => {
        id = pool.tryAcquire();
      },
    ),
    waiter: attached((pool) => pool.release(pool.acquireSync())),
  };
  await passes(poolScenario('acquireSync and release', shape, threads), { preemptions: 3 });
});

test('two waiters are both served', async () => {
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 3 };
  const waits = attached((pool) => pool.release(pool.acquireSync()));
  const threads = { a: waits, b: waits, c: waits };
  await passes(poolScenario('three acquireSync', shape, threads), { preemptions: 2 });
});

test('a waiter that times out swallows no buffer', async () => {
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 2 };
  const body = attached((pool) => {
    try {
      pool.release(pool.acquireSync(5));
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_BUSBAR_TIMEOUT') throw error;
    }
  });
  await passes(poolScenario('acquireSync with a timeout', shape, { a: body, b: body }), {
    preemptions: 2,
  });
});

test('a thread that hoards free buffers gives them back to a waiter', async () => {
  const shape = { bufferCount: 2, batchSize: 2, maxThreads: 2 };
  const threads = {
    hoarder: attached(() => undefined, acquireTwo),
    waiter: attached((pool) => pool.release(pool.acquireSync())),
  };
  await passes(poolScenario('pressure', shape, threads), { preemptions: 2 });
});

test('an awaited buffer arrives, or its wait is aborted, and none is lost', async () => {
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 2 };
  const threads = {
    sync: attached((pool) => pool.release(pool.acquireSync())),
    async: attached(async (pool) => pool.release(await pool.acquire())),
  };
  await passes(poolScenario('acquire and acquireSync', shape, threads), { preemptions: 2 });
  const aborts = {
    sync: attached((pool) => pool.release(pool.acquireSync())),
    async: attached(async (pool) => {
      const controller = new AbortController();
      const waits = pool.acquire({ signal: controller.signal });
      await Promise.resolve();
      controller.abort();
      try {
        pool.release(await waits);
      } catch (error) {
        if (error !== controller.signal.reason) throw error;
      }
    }),
  };
  await passes(poolScenario('acquire aborted', shape, aborts), { preemptions: 2 });
});

test('close refuses waiters, wherever they are', async () => {
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 2 };
  const threads = {
    closer: attached((pool) => {
      const id = pool.tryAcquire();
      pool.close();
      if (id !== NO_BUFFER) pool.release(id);
    }),
    waiter: attached((pool) => {
      try {
        pool.release(pool.acquireSync());
      } catch (error) {
        if ((error as { code?: string }).code !== 'ERR_BUSBAR_POOL_CLOSED') throw error;
      }
    }),
  };
  const scenario = poolScenario('close', shape, threads, {
    racy: (shared) => (block, word) =>
      isHint(shared, block, word) ||
      isStatistic(shared, block, word) ||
      isOwnerWord(shared, block, word),
  });
  await passes(scenario, { preemptions: 2 });
});

test('a buffer sent through words is freed by whoever lets go last', async () => {
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 2 };
  const threads = {
    sender: attached((pool, { words }) => {
      const id = pool.tryAcquire();
      pool.bytes[0] = 7;
      pool.retain(id);
      pool.sendInto(id, pool.offsetOf(id), 4, words, 1);
      Atomics.store(words, 0, 1);
      Atomics.notify(words, 0);
      if (pool.bytes[0] !== 7) throw new Error('the bytes changed');
      pool.release(id);
    }),
    receiver: attached((pool, { words }) => {
      Atomics.wait(words, 0, 0);
      const id = pool.receiveFrom(words, 1);
      if (pool.bytes[words[2]] !== 7) throw new Error('the bytes did not arrive');
      pool.release(id);
    }),
  };
  await passes(poolScenario('send and receive', shape, threads), {});
});
