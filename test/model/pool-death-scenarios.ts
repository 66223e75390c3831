// SPDX-License-Identifier: MIT
/**
 * Model checker: the buffer pool's protocols when threads die: whatever they were doing, reclaim
 * loses nothing.
 */

import type { ModelOptions, Scenario } from 'busbar/testing';
import type { BufferId } from '../../src/pool/index.ts';
import { ALONE, OWNER, SHARED } from '../../src/pool/pool-layout.ts';
import type { Part } from './coverage.ts';
import {
  acquireTwo,
  allowing,
  attachedTo,
  cutShort,
  type PoolCase,
  poolScenario,
  sendThrough,
} from './pool-scenarios.ts';
import {
  checkAllFree,
  isHint,
  isOwnerWord,
  type PoolModule,
  type PoolShape,
  type PoolShared,
} from './pool-words.ts';

export function deathParts(module: PoolModule): Part<PoolShared>[] {
  return [
    {
      name: 'deaths and reclaim',
      operations: 'the same, reclaim, reclaimDead',
      cases: deathCases(module),
    },
  ];
}

export function deathCases(module: PoolModule): PoolCase[] {
  const attached = attachedTo(module);
  const two = attached(acquireTwo);
  const waits = attached((pool) => pool.release(pool.acquireSync()));
  const awaits = attached(async (pool) => pool.release(await pool.acquire()));
  const givesUp = attached((pool) => {
    const id = allowing(['ERR_BUSBAR_TIMEOUT'], () => pool.acquireSync(5));
    if (id !== undefined) pool.release(id);
  });
  const holder = attached(
    (pool, _, id: BufferId) => pool.release(id),
    (pool) => pool.tryAcquire(),
  );
  const hoarder = attached(() => undefined, acquireTwo);
  const reclaimer = attached((pool) => {
    pool.reclaimDead();
    const id = pool.tryAcquire();
    if (id >= 0) pool.release(id);
  });
  const dies = casesOf(module);
  const pool = { bufferCount: 1, batchSize: 1, maxThreads: 3 };
  const twoBuffers = { ...pool, bufferCount: 2 };
  return [
    dies('refill and overflow', { ...pool, bufferCount: 3 }, { a: two, b: two }, 0, 3),
    dies('acquireSync, release', pool, { holder, waiter: waits }, 0, 2),
    cutShort(dies('acquireSync by 2 threads', pool, { a: waits, b: waits }, 0, 1)),
    cutShort(dies('acquireSync that times out', pool, { a: givesUp, b: givesUp }, 0, 1)),
    dies('acquire, acquireSync', pool, { a: awaits, b: waits }, 0, 1),
    dies('acquireSync, hoarder', { ...twoBuffers, batchSize: 2 }, { hoarder, waiter: waits }, 0, 2),
    dies('reclaimed by 2 threads', twoBuffers, { mortal: two, other: reclaimer }, 0, 2, {
      killable: ['mortal'],
    }),
    ofAReclaimer(module),
    inTransit(module, false),
    inTransit(module, true),
  ];
}

function casesOf(module: PoolModule) {
  return (
    name: string,
    shape: PoolShape,
    threads: Scenario<PoolShared>['threads'],
    preemptions: number,
    preemptionsLong: number,
    rest: Partial<Scenario<PoolShared>> = {},
  ): PoolCase => {
    const options: ModelOptions = { kills: 1, deaths: 'calls' };
    return {
      scenario: poolScenario(module, `death: ${name}`, shape, threads, {
        prepares: [...Object.keys(threads), 'supervisor'],
        racy: (shared) => (block, word) =>
          isHint(shared, block, word) || isOwnerWord(shared, block, word),
        supervisor: (shared, dead, self) => {
          const pool = module.BufferPool.attach(shared.handle);
          self.begin();
          pool.reclaim(dead.published[0] as number);
        },
        ...rest,
      }),
      quick: { ...options, preemptions },
      long: { ...options, preemptions: preemptionsLong },
    };
  };
}

/** One thread dies, and so may the one that reclaims it; a survivor finishes the work. */
function ofAReclaimer(module: PoolModule): PoolCase {
  const attached = attachedTo(module);
  const { scenario, quick, long } = casesOf(module)(
    'of a reclaimer',
    { bufferCount: 2, batchSize: 1, maxThreads: 4 },
    {
      mortal: attached(acquireTwo),
      other: attached((pool) => {
        pool.reclaimDead();
      }),
    },
    0,
    1,
    {
      supervisor: (shared, _dead, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        self.begin();
        pool.reclaimDead();
      },
    },
  );
  return { scenario, quick: { ...quick, kills: 2, states: 30_000 }, long: { ...long, kills: 2 } };
}

/**
 * Sender or receiver die: the reference is with one of them, or in the words, never in two places
 * or none.
 */
function inTransit(module: PoolModule, isSole: boolean): PoolCase {
  const attached = attachedTo(module);
  const sender = attached((pool, { words }) => {
    const id = pool.tryAcquire();
    if (!isSole) pool.retain(id);
    sendThrough(pool, id, words, 0);
    if (!isSole) pool.release(id);
  });
  const receiver = attached((pool, { words }) => {
    if (Atomics.load(words, 0) === 0) return;
    pool.release(pool.moveFrom(words, 1));
  });
  return casesOf(module)(
    isSole ? 'send the only reference' : 'send, receive',
    { bufferCount: 1, batchSize: 1, maxThreads: 3 },
    { sender, receiver },
    2,
    8,
    {
      check: (shared) => {
        const control = new Int32Array(shared.handle.control);
        const owner = control[shared.layout.buffer(0) + OWNER];
        if ((shared.words[4] & 0xffff) === 0) checkAllFree(shared);
        else if (owner !== SHARED && owner !== ALONE)
          throw new Error('a packet is in transit, its buffer is not shared');
      },
    },
  );
}
