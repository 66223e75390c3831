// SPDX-License-Identifier: MIT
import { Worker } from 'node:worker_threads';
import { type BufferId, BufferPool, NO_BUFFER } from 'busbar/pool';
import { afterEach, expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { auditPool } from '../pool-audit.ts';
import { turn } from '../turns.ts';
import { Hand } from './hand.ts';
import { scaled, testSeed, workerUrl } from './worker-crew.ts';

const hands: Hand[] = [];

afterEach(async () => {
  await Promise.all(hands.splice(0).map((hand) => hand.terminate()));
});

async function attach(pool: BufferPool): Promise<Hand> {
  const hand = await Hand.attach(pool);
  hands.push(hand);
  return hand;
}

function create(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 8, batchSize: 2, maxThreads: 3 });
}

function expectAlive(pool: BufferPool, hand: Hand): void {
  expect(() => pool.reclaim(hand.slot)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_THREAD_ALIVE' }),
  );
}

/** Takes every buffer that is free, also out of the cache of an idle worker. */
async function takeAll(pool: BufferPool): Promise<void> {
  while (pool.stats().held < pool.bufferCount) await pool.acquire();
}

/** What a worker may be doing when it is killed. */
const occupations: Record<string, (pool: BufferPool, hand: Hand) => Promise<unknown>> = {
  'is idle': async () => {},
  'spins without a turn of its event loop': async (_, hand) => {
    void hand.ask('spin', 0, 99);
    await hand.reaches(0, 1);
  },
  'blocks outside of the pool': async (_, hand) => {
    void hand.ask('block', 0);
    await hand.reaches(0, 1);
  },
  'blocks for a buffer': async (pool, hand) => {
    await takeAll(pool);
    void hand.ask('acquireSync');
    while (pool.stats().waiting === 0) await turn();
  },
  'awaits a buffer': async (pool, hand) => {
    await takeAll(pool);
    void hand.ask('acquire');
    while (pool.stats().waiting === 0) await turn();
  },
};

test.each(Object.keys(occupations))(
  'a worker that %s lives until it is terminated, and is reclaimed then',
  async (occupation) => {
    const pool = create();
    const hand = await attach(pool);
    const id = await hand.ask<BufferId>('acquireSync');
    await occupations[occupation]?.(pool, hand);
    expectAlive(pool, hand);
    // However often it was looked at meanwhile:
    for (let i = 0; i < 100; i++) expect(pool.reclaimDead()).toEqual([]);
    expectAlive(pool, hand);
    const before = pool.stats();
    await hand.terminate();
    expect(pool.reclaim(hand.slot)).toBeGreaterThan(0);
    expect(pool.reclaim(hand.slot)).toBe(0);
    const after = pool.stats();
    expect(after.threads.map(({ slot }) => slot)).toEqual([pool.threadSlot]);
    expect(after.waiting).toBe(0);
    expect(after.held).toBe(before.held - 1);
    expect(auditPool(pool)).toEqual([]);
    expect(id).not.toBe(NO_BUFFER);
  },
);

test('a worker that ends by itself without detaching is found', async () => {
  const pool = create();
  const [a, b] = await Promise.all([attach(pool), attach(pool)]);
  await Promise.all([a.ask('acquireSync'), b.ask('acquireSync')]);
  void a.ask('exit', 7);
  expect(await a.ended).toBe(7);
  expect(pool.reclaimDead()).toEqual([{ slot: a.slot, freed: expect.any(Number) }]);
  expectAlive(pool, b);
  await b.terminate();
  expect(pool.reclaimDead().map(({ slot }) => slot)).toEqual([b.slot]);
  expect(pool.stats()).toMatchObject({ freeShared: 8, held: 0 });
  expect(auditPool(pool)).toEqual([]);
});

test('workers come and go in the same slots', async () => {
  const pool = create();
  for (let i = 0; i < 6; i++) {
    const hand = await attach(pool);
    expect(hand.slot).toBe(1);
    const id = await hand.ask<BufferId>('acquireSync');
    if (i % 2 === 0) {
      await hand.ask('release', id);
      await hand.ask('detach');
    } else {
      await hand.terminate();
      pool.reclaim(1);
    }
    expect(pool.stats()).toMatchObject({ freeShared: 8, held: 0 });
  }
  expect(auditPool(pool)).toEqual([]);
});

test('a worker killed while it attaches or detaches costs no slot and no buffer', async () => {
  const seed = testSeed();
  const random = new Random(seed);
  const replay = `replay with BUSBAR_TEST_SEED=${seed}`;
  const pool = create();
  for (let i = 0; i < scaled(12); i++) {
    const killed = [0, 1].map(async () => {
      const rounds = new Int32Array(new SharedArrayBuffer(4));
      const workerData = { handle: pool.handle, rounds: rounds.buffer };
      const worker = new Worker(workerUrl('attach'), { workerData });
      const failed = new Promise<never>((_, reject) => worker.on('error', reject));
      const target = 1 + random.below(random.chance(0.5) ? 20 : 2000);
      while (Atomics.load(rounds, 0) < target) await Promise.race([turn(), failed]);
      await worker.terminate();
    });
    await Promise.all(killed);
    pool.reclaimDead();
    expect(auditPool(pool), replay).toEqual([]);
    expect(pool.stats(), replay).toMatchObject({ freeShared: 8, held: 0, waiting: 0 });
    const others = [0, 1].map(() => BufferPool.attach(pool.handle));
    for (const other of others) other.detach();
  }
});
