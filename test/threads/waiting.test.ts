// SPDX-License-Identifier: MIT
import { Packet } from 'busbar/packet';
import { type BufferId, BufferPool } from 'busbar/pool';
import { afterEach, expect, test } from 'vitest';
import { auditPool } from '../pool-audit.ts';
import { drain } from '../pool-expectations.ts';
import { turn } from '../turns.ts';
import { Hand } from './hand.ts';

const hands: Hand[] = [];

afterEach(async () => {
  await Promise.all(hands.splice(0).map((hand) => hand.terminate()));
});

async function attach(pool: BufferPool, words?: Int32Array<SharedArrayBuffer>): Promise<Hand> {
  const hand = await Hand.attach(pool, words);
  hands.push(hand);
  return hand;
}

function create(bufferCount: number, batchSize = 1): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount, batchSize, maxThreads: 6 });
}

async function untilWaiting(pool: BufferPool, count: number): Promise<void> {
  while (pool.stats().waiting < count) await turn();
}

test('a thread that blocks for a buffer gets the one that another releases', async () => {
  const pool = create(2);
  const hand = await attach(pool);
  const ids = drain(pool);
  const blocked = hand.ask<BufferId>('acquireSync');
  await untilWaiting(pool, 1);
  pool.release(ids[1]);
  expect(await blocked).toBe(ids[1]);
  // And the other way round, with the main thread blocked:
  void hand.ask('release', ids[1]);
  expect(pool.acquireSync(20_000)).toBe(ids[1]);
});

test('threads that block are served in the order in which they came', async () => {
  const pool = create(1);
  const words = new Int32Array(new SharedArrayBuffer(64));
  const [a, b, c, d] = await Promise.all([1, 2, 3, 4].map(() => attach(pool, words)));
  for (let round = 0; round < 5; round++) {
    const [id] = drain(pool);
    words[0] = 0;
    const numbers: Promise<number>[] = [];
    for (const hand of round % 2 === 0 ? [c, a, d, b] : [b, d, c, a]) {
      numbers.push(hand.ask<number>('queue', 0));
      await untilWaiting(pool, numbers.length);
    }
    pool.release(id);
    expect(await Promise.all(numbers)).toEqual([0, 1, 2, 3]);
    const back = await pool.acquire();
    pool.release(back);
  }
});

test('the cache of an idle thread comes to one that blocks', async () => {
  const pool = create(4, 4);
  const idle = await attach(pool);
  await idle.ask('release', await idle.ask('acquireSync'));
  expect(pool.stats().freeCached).toBeGreaterThan(0);
  // This thread does nothing but wait; the idle one has to hear it by itself.
  const ids = [1, 2, 3, 4].map(() => pool.acquireSync(20_000));
  expect(new Set(ids).size).toBe(4);
  for (const id of ids) pool.release(id);
  // And to one that waits without blocking:
  await idle.ask('release', await idle.ask('acquireSync'));
  const more = await Promise.all([1, 2, 3, 4].map(() => pool.acquire()));
  expect(new Set(more).size).toBe(4);
});

test('a busy thread keeps its cache until its next call, and then gives it up', async () => {
  const pool = create(2, 2);
  const busy = await attach(pool);
  const [first, second] = [await busy.ask<BufferId>('acquireSync'), pool.acquireSync()];
  await busy.ask('release', first);
  const spinning = busy.ask('spin', 0, 99);
  await busy.reaches(0, 1);
  const cached = pool.stats().threads.find(({ slot }) => slot === busy.slot)?.cached;
  expect(cached).toBe(1);
  await expect(pool.acquire({ timeoutMs: 5 })).rejects.toMatchObject({
    code: 'ERR_BUSBAR_TIMEOUT',
  });
  expect(() => pool.acquireSync(5)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_TIMEOUT' }),
  );
  const waiting = pool.acquire();
  Atomics.store(busy.words, 0, 99);
  await spinning;
  expect(await waiting).toBe(first);
  pool.release(first);
  pool.release(second);
  expect(auditPool(pool)).toEqual([]);
});

test('a wait that ends early in one thread leaves its buffer to the next thread', async () => {
  const pool = create(1);
  const [a, b] = await Promise.all([attach(pool), attach(pool)]);
  for (let i = 0; i < 20; i++) {
    const [id] = drain(pool);
    const early = a.ask('acquireSync', i % 4).then(
      (got) => a.ask('release', got),
      ({ code }) => expect(code).toBe('ERR_BUSBAR_TIMEOUT'),
    );
    const late = b.ask<BufferId>('acquireSync').then((got) => b.ask('release', got));
    await untilWaiting(pool, 1);
    pool.release(id);
    await Promise.all([early, late]);
    pool.release(await pool.acquire());
  }
});

test('closing the pool wakes threads that block, wherever they are', async () => {
  const pool = create(1);
  const [a, b] = await Promise.all([attach(pool), attach(pool)]);
  const [id] = drain(pool);
  const waits = [a.ask('acquireSync'), b.ask('acquire'), b.ask('acquire', { timeoutMs: 1e6 })];
  await untilWaiting(pool, 2);
  pool.close();
  for (const wait of waits)
    await expect(wait).rejects.toMatchObject({ code: 'ERR_BUSBAR_POOL_CLOSED' });
  await expect(a.ask('tryAcquire')).rejects.toMatchObject({ code: 'ERR_BUSBAR_POOL_CLOSED' });
  pool.release(id);
  await Promise.all([a.ask('detach'), b.ask('detach')]);
  expect(pool.stats()).toMatchObject({ freeShared: 1, waiting: 0 });
  expect(auditPool(pool)).toEqual([]);
});

test('packets go by postMessage to another thread and back, each exactly once', async () => {
  const pool = create(4);
  const hand = await attach(pool);
  const id = await hand.ask<BufferId>('tryAcquire');
  const length = await hand.ask<number>('write', id, 'grüße vom anderen ufer');
  await hand.ask('wrap', id, length);
  await hand.ask('clone', id, 100);
  const sent = await hand.ask<never>('send', id);
  const packet = Packet.moveIn(pool, sent);
  expect(packet.toString()).toBe('grüße vom anderen ufer');
  expect(() => Packet.moveIn(pool, sent)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_BAD_SEND_PACKET' }),
  );
  const copy = packet.slice(0, 6);
  expect(await hand.ask('receive', 101, copy.moveOut())).toBe('grüß');
  await hand.ask('drop', 100);
  await expect(hand.ask('drop', 100)).rejects.toMatchObject({ code: 'ERR_BUSBAR_PACKET_RELEASED' });
  packet.release();
  expect(pool.who()).toMatchObject({ held: 1, inTransit: 0 });
  await hand.ask('drop', 101);
  expect(pool.who()).toMatchObject({ held: 0, inTransit: 0 });
  expect(auditPool(pool)).toEqual([]);
});
