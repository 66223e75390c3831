// SPDX-License-Identifier: MIT
/**
 * Model checker: the buffer pool's protocols between living threads, each with a tiny pool and a
 * few operations.
 */

import type { ModelThread, Scenario } from 'busbar/testing';
import type { BufferId, BufferPool } from '../../src/pool/index.ts';
import type { Case, Part } from './coverage.ts';
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
} from './pool-words.ts';

export type PoolCase = Case<PoolShared>;

export type PoolBody = Scenario<PoolShared>['threads'][string];

/** Makes bodies of threads that first attach and, without interruption, do what `before` says. */
export function attachedTo(module: PoolModule) {
  return <Prepared = undefined>(
    body: (pool: BufferPool, shared: PoolShared, prepared: Prepared, self: ModelThread) => unknown,
    before?: (pool: BufferPool) => Prepared,
  ): PoolBody =>
    (shared, self) => {
      const pool = module.BufferPool.attach(shared.handle);
      // Reads statistics, which decide nothing.
      pool.heldInBrief = () => '';
      self.publish(pool.threadSlot);
      const prepared = before?.(pool);
      self.begin();
      return body(pool, shared, prepared as Prepared, self);
    };
}

export function poolScenario(
  module: PoolModule,
  name: string,
  shape: PoolShape,
  threads: Scenario<PoolShared>['threads'],
  rest: Partial<Scenario<PoolShared>> = {},
): Scenario<PoolShared> {
  return {
    name,
    setup: () => makePool(module, shape),
    threads,
    prepares: Object.keys(threads),
    racy: (shared) => (block, word) => isHint(shared, block, word),
    nameWord: (shared) => (block, word) => poolWordName(shared, block, word),
    check: checkAllFree,
    ...rest,
  };
}

/** Takes up to two buffers, then gives them up. */
export function acquireTwo(pool: BufferPool): void {
  const first = pool.tryAcquire();
  const second = pool.tryAcquire();
  if (first >= 0) pool.release(first);
  if (second >= 0) pool.release(second);
}

/** Runs `attempt`; an error with one of the codes is an answer, any other goes on. */
export function allowing<Result>(
  codes: readonly string[],
  attempt: () => Result,
): Result | undefined {
  try {
    return attempt();
  } catch (error) {
    if (!codes.includes((error as { code?: string }).code ?? '')) throw error;
    return undefined;
  }
}

export function livingParts(module: PoolModule): Part<PoolShared>[] {
  return [
    {
      name: 'free list and caches',
      operations: 'tryAcquire, release, attach, detach',
      cases: freeListCases(module),
    },
    {
      name: 'waiters and cancellation',
      operations: 'acquire, acquireSync, release, abort, close',
      cases: waitingCases(module),
    },
    {
      name: 'references',
      operations: 'moveInto, moveFrom, retain, release, isSoleHolder',
      cases: sharingCases(module),
    },
  ];
}

function freeListCases(module: PoolModule): PoolCase[] {
  const attached = attachedTo(module);
  const two = attached(acquireTwo);
  const comesAndGoes: PoolBody = ({ handle }) => {
    const pool = module.BufferPool.attach(handle);
    const id = pool.tryAcquire();
    if (id >= 0) pool.release(id);
    pool.detach();
  };
  return [
    {
      scenario: poolScenario(
        module,
        'refill and overflow, 2 threads',
        { bufferCount: 3, batchSize: 1, maxThreads: 2 },
        { a: two, b: two },
      ),
      quick: {},
      long: {},
    },
    {
      scenario: poolScenario(
        module,
        'refill and overflow, 3 threads',
        { bufferCount: 4, batchSize: 1, maxThreads: 3 },
        { a: two, b: two, c: two },
      ),
      quick: { preemptions: 1 },
      long: { preemptions: 3 },
    },
    {
      scenario: {
        ...poolScenario(
          module,
          'attach, acquire, detach',
          { bufferCount: 2, batchSize: 1, maxThreads: 2 },
          { a: comesAndGoes, b: comesAndGoes },
        ),
        prepares: [],
      },
      quick: { preemptions: 1 },
      long: { preemptions: 3 },
    },
  ];
}

function waitingCases(module: PoolModule): PoolCase[] {
  const attached = attachedTo(module);
  const waits = attached((pool) => pool.release(pool.acquireSync()));
  const one = { bufferCount: 1, batchSize: 1, maxThreads: 2 };
  const three = { ...one, maxThreads: 3 };
  const holder = attached(
    (pool, _, id: BufferId) => pool.release(id),
    (pool) => pool.tryAcquire(),
  );
  const hoarder = attached(() => undefined, acquireTwo);
  const givesUp = attached((pool) => {
    const id = allowing(['ERR_BUSBAR_TIMEOUT'], () => pool.acquireSync(5));
    if (id !== undefined) pool.release(id);
  });
  const awaits = attached(async (pool) => pool.release(await pool.acquire()));
  const isAborted = attached(async (pool) => {
    const controller = new AbortController();
    const waiting = pool.acquire({ signal: controller.signal });
    await Promise.resolve();
    controller.abort();
    try {
      pool.release(await waiting);
    } catch (error) {
      if (error !== controller.signal.reason) throw error;
    }
  });
  const pool = (
    name: string,
    shape: PoolShape,
    threads: Scenario<PoolShared>['threads'],
    preemptions: number,
    preemptionsLong: number,
  ): PoolCase => ({
    scenario: poolScenario(module, name, shape, threads),
    quick: { preemptions },
    long: { preemptions: preemptionsLong },
  });
  return [
    pool('acquireSync, release', one, { holder, waiter: waits }, 2, 8),
    cutShort(pool('acquireSync by 3 threads', three, { a: waits, b: waits, c: waits }, 0, 1)),
    pool('acquireSync twice', one, { a: attached(waitTwice), b: attached(waitTwice) }, 0, 1),
    cutShort(pool('acquireSync that times out', one, { a: givesUp, b: givesUp }, 1, 3)),
    pool(
      'acquireSync, hoarder',
      { ...one, bufferCount: 2, batchSize: 2 },
      { hoarder, waiter: waits },
      2,
      4,
    ),
    pool('acquire, acquireSync', one, { a: waits, b: awaits }, 1, 3),
    pool('acquire by 2 threads', one, { a: awaits, b: awaits }, 1, 3),
    pool('acquire aborted', one, { a: waits, b: isAborted }, 1, 3),
    closing(module, one),
  ];
}

function waitTwice(pool: BufferPool): void {
  pool.release(pool.acquireSync());
  pool.release(pool.acquireSync());
}

function closing(module: PoolModule, shape: PoolShape): PoolCase {
  const attached = attachedTo(module);
  const closer = attached((pool) => {
    const id = pool.tryAcquire();
    pool.close();
    if (id >= 0) pool.release(id);
  });
  const waiter = attached((pool) => {
    const id = allowing(['ERR_BUSBAR_POOL_CLOSED'], () => pool.acquireSync());
    if (id !== undefined) pool.release(id);
  });
  const scenario = poolScenario(
    module,
    'close, acquireSync',
    shape,
    { closer, waiter },
    {
      // close() counts what is out, and what it reads goes on changing.
      racy: (shared) => (block, word) =>
        isHint(shared, block, word) ||
        isStatistic(shared, block, word) ||
        isOwnerWord(shared, block, word),
    },
  );
  return { scenario, quick: { preemptions: 1 }, long: { preemptions: 3 } };
}

/** Too large for the test run: each look at the clock may find that time has passed. */
export function cutShort(item: PoolCase): PoolCase {
  return { ...item, quick: { ...item.quick, states: 100_000 } };
}

function sharingCases(module: PoolModule): PoolCase[] {
  const attached = attachedTo(module);
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 2 };
  const sender = attached((pool, { words }) => {
    const id = pool.tryAcquire();
    pool.bytes[0] = 7;
    pool.retain(id);
    sendThrough(pool, id, words, 0);
    if (pool.bytes[0] !== 7) throw new Error('the bytes changed while they were held');
    pool.release(id);
  });
  const receiver = attached((pool, { words }) => {
    Atomics.wait(words, 0, 0);
    const id = pool.moveFrom(words, 1);
    if (pool.bytes[words[2]] !== 7) throw new Error('the bytes did not arrive');
    if (pool.offsetOf(id) !== words[2] || words[3] !== 4) throw new Error('the region is another');
    pool.release(id);
  });
  const fan = { ...shape, maxThreads: 3 };
  const fanOut = attached((pool, { words }) => {
    const id = pool.tryAcquire();
    pool.bytes[0] = 7;
    pool.retain(id);
    sendThrough(pool, id, words, 0);
    sendThrough(pool, id, words, 8);
  });
  const secondReceiver = attached((pool, { words }) => {
    Atomics.wait(words, 8, 0);
    const id = pool.moveFrom(words, 9);
    if (pool.isSoleHolder(id)) pool.bytes[words[10]] = 8;
    pool.release(id);
  });
  const writesIfAlone = attached((pool, { words }) => {
    Atomics.wait(words, 0, 0);
    const id = pool.moveFrom(words, 1);
    if (pool.isSoleHolder(id)) pool.bytes[words[2]] = 9;
    pool.release(id);
  });
  const pingPong = attached((pool, { words }) => {
    const id = pool.tryAcquire();
    sendThrough(pool, id, words, 0);
    Atomics.wait(words, 8, 0);
    pool.release(pool.moveFrom(words, 9));
  });
  const returns = attached((pool, { words }) => {
    Atomics.wait(words, 0, 0);
    const id = pool.moveFrom(words, 1);
    pool.retain(id);
    sendThrough(pool, id, words, 8);
    pool.release(id);
  });
  return [
    {
      scenario: poolScenario(module, 'send, last release on either side', shape, {
        sender,
        receiver,
      }),
      quick: {},
      long: {},
    },
    {
      scenario: poolScenario(module, 'send to 2 threads, write if alone', fan, {
        sender: fanOut,
        b: writesIfAlone,
        c: secondReceiver,
      }),
      quick: {},
      long: {},
    },
    {
      scenario: poolScenario(module, 'send there and back', shape, { a: pingPong, b: returns }),
      quick: {},
      long: {},
    },
  ];
}

/** Sends the whole buffer through words `[index + 1, index + 5)` and rings at word `index`. */
export function sendThrough(
  pool: BufferPool,
  id: BufferId,
  words: Int32Array,
  index: number,
): void {
  pool.moveInto(id, pool.offsetOf(id), 4, words, index + 1);
  Atomics.store(words, index, 1);
  Atomics.notify(words, index);
}
