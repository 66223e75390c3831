// SPDX-License-Identifier: MIT
import { Worker } from 'node:worker_threads';
import { WordChannel } from 'busbar/channel';
import { type BufferId, BufferPool, NO_BUFFER } from 'busbar/pool';
import { afterEach, describe, expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { lifeOf, PROBES, STATE } from '../../src/pool/pool-layout.ts';
import { scaled } from '../effort.ts';
import { auditPool, controlLayout, controlWords } from '../pool-audit.ts';
import { turn } from '../turns.ts';
import { Hand } from './hand.ts';
import { testSeed, workerUrl } from './worker-crew.ts';

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

const ALIVE = expect.objectContaining({ code: 'ERR_BUSBAR_THREAD_ALIVE' });

function expectAlive(pool: BufferPool, hand: Hand): void {
  expect(() => pool.reclaim(hand.slot)).toThrow(ALIVE);
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
  for (let i = 0; i < scaled(6); i++) {
    const killed = [0, 1].map(async () => {
      const rounds = new Int32Array(new SharedArrayBuffer(4));
      const workerData = { handle: pool.handle, rounds: rounds.buffer };
      const worker = new Worker(workerUrl('attach'), { workerData });
      const failed = new Promise<never>((_, reject) => worker.on('error', reject));
      const target = 1 + random.below(random.chance(0.5) ? 20 : 300);
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

/** How many questions a worker could answer now. */
function proofsOf(pool: BufferPool, { slot }: Hand): number {
  const words = controlWords(pool);
  const thread = controlLayout(pool).thread(slot);
  return Atomics.load(words, thread + PROBES + lifeOf(words[thread + STATE]));
}

const PEER_DIED = { code: 'ERR_BUSBAR_CHANNEL_PEER_DIED' };

/** A worker that receives from a full channel, and computes; and who waits for it. */
async function busyReceiver(kind: 'spsc' | 'mpsc' | 'mpmc') {
  const pool = create();
  const channel = WordChannel.create(pool, { kind, capacity: 2 });
  const sender = channel.sender();
  const hand = await attach(pool);
  await hand.ask('join', channel.handle);
  void hand.ask('spin', 0, 99);
  await hand.reaches(0, 1);
  while (sender.trySend(1));
  const sending = sender.send(2);
  sending.catch(() => {});
  return { pool, channel, hand, sending };
}

describe.each(['spsc', 'mpsc', 'mpmc'] as const)('%s: a receiver that computes', (kind) => {
  test('is dead to whoever waits for it, however often others had asked', async () => {
    const { pool, channel, hand, sending } = await busyReceiver(kind);
    for (let i = 0; i < 200; i++) {
      expect(channel.recover()).toBe(0);
      expect(pool.reclaimDead()).toEqual([]);
      expectAlive(pool, hand);
    }
    await hand.terminate();
    await expect(sending).rejects.toMatchObject(PEER_DIED);
    expect(channel.stats().receivers).toBe(0);
    expect(pool.reclaim(hand.slot)).toBe(0);
  });

  test('is found by recover() after its exit, although somebody waited for it', async () => {
    const { pool, channel, hand, sending } = await busyReceiver(kind);
    const ends = { sending: false };
    sending.catch(() => {}).finally(() => Object.assign(ends, { sending: true }));
    const unasked = proofsOf(pool, hand);
    while (proofsOf(pool, hand) > unasked - 3) await turn();
    await hand.terminate();
    expect(channel.recover() + Number(ends.sending)).toBe(1);
    await expect(sending).rejects.toMatchObject(PEER_DIED);
  });

  test('has ended for everybody once somebody says so', async () => {
    const { pool, channel, hand, sending } = await busyReceiver(kind);
    for (let i = 0; i < 200; i++) {
      const declaring = (): boolean => pool.declareExited(hand.slot);
      if (i < 20) expect(declaring).toThrow(ALIVE);
      channel.recover();
    }
    await hand.terminate();
    expect(pool.declareExited(hand.slot)).toBe(true);
    expect(channel.recover()).toBe(1);
    await expect(sending).rejects.toMatchObject(PEER_DIED);
    expect(pool.declareExited(hand.slot)).toBe(true);
    expect(pool.reclaimDead()).toEqual([{ slot: hand.slot, freed: 0 }]);
    expect(pool.declareExited(hand.slot)).toBe(false);
  });
});

test('a worker that was asked about twelve times while it computed is reclaimed', async () => {
  const pool = create();
  const hand = await attach(pool);
  await hand.ask('acquireSync');
  void hand.ask('spin', 0, 99);
  await hand.reaches(0, 1);
  for (let i = 0; i < 12; i++) expectAlive(pool, hand);
  await hand.terminate();
  expect(pool.reclaim(hand.slot)).toBeGreaterThan(0);
  expect(pool.stats()).toMatchObject({ freeShared: 8, held: 0 });
});

test('a living worker cannot be declared dead, and a slot cannot be misnamed', async () => {
  const pool = create();
  const hand = await attach(pool);
  // Fewer than the forty proofs that it has: how soon it replaces them is up to the machine.
  for (let i = 0; i < 30; i++) {
    expect(() => pool.declareExited(hand.slot)).toThrow(ALIVE);
    // It turns its event loop, which is all that it takes.
    await hand.ask('slot');
  }
  expect(pool.declareExited(pool.threadSlot)).toBe(false);
  expect(pool.declareExited(2)).toBe(false);
  expect(() => pool.declareExited(3)).toThrow(RangeError);
  expect(() => pool.declareExited('0' as never)).toThrow(TypeError);
});
