// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { auditPool, controlLayout, controlWords } from '../../test/pool-audit.ts';
import { coded, drain, expectAllHome } from '../../test/pool-expectations.ts';
import { Random } from '../base/random.ts';
import { type BufferId, BufferPool, type BufferPoolOptions, NO_BUFFER } from './index.ts';
import { ACQUIRES, CACHE_COUNT } from './pool-layout.ts';

const small: BufferPoolOptions = { bufferSize: 100, bufferCount: 8, batchSize: 2, maxThreads: 3 };

test('a pool gives out each of its buffers once, then says not now', () => {
  const pool = BufferPool.create(small);
  const ids = drain(pool);
  expect(new Set(ids).size).toBe(8);
  expect([...ids].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(pool.tryAcquire()).toBe(NO_BUFFER);
  expect(pool.stats()).toMatchObject({ held: 8, freeShared: 0, freeCached: 0 });
  pool.release(ids[3]);
  expect(pool.tryAcquire()).toBe(ids[3]);
  for (const id of ids) pool.release(id);
  expectAllHome(pool);
});

test('the shape of a pool is what was asked for', () => {
  const pool = BufferPool.create(small);
  expect(pool).toMatchObject({ bufferSize: 100, bufferCount: 8, batchSize: 2, maxThreads: 3 });
  expect(pool.threadSlot).toBe(0);
  expect(pool.bytes.buffer).toBe(pool.view.buffer);
  expect(pool.bytes.length).toBe(8 * 128);
  for (let id = 0; id < 8; id++) {
    const offset = pool.offsetOf(id as BufferId);
    expect(offset % 64).toBe(0);
    for (const at of [offset, offset + 50, offset + 99]) expect(pool.bufferAt(at)).toBe(id);
  }
});

test('buffers do not overlap', () => {
  const pool = BufferPool.create({ bufferSize: 65, bufferCount: 5, maxThreads: 1 });
  const ids = drain(pool);
  for (const id of ids) {
    pool.bytes.fill(id + 1, pool.offsetOf(id), pool.offsetOf(id) + pool.bufferSize);
  }
  for (const id of ids) {
    const begin = pool.offsetOf(id);
    const bytes = pool.bytes.subarray(begin, begin + pool.bufferSize);
    expect(bytes.every((byte) => byte === id + 1)).toBe(true);
  }
});

test('a buffer is free when its last reference goes', () => {
  const pool = BufferPool.create(small);
  const id = pool.tryAcquire();
  pool.retain(id);
  pool.retain(id);
  pool.release(id);
  pool.release(id);
  expect(pool.stats().held).toBe(1);
  pool.release(id);
  expectAllHome(pool);
});

test('releasing a buffer once too often is an error and changes nothing', () => {
  const pool = BufferPool.create(small);
  const id = pool.tryAcquire();
  pool.release(id);
  const before = controlWords(pool).slice();
  expect(() => pool.release(id)).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  expect(() => pool.release(id)).toThrow(/released .*, or never acquired here/);
  expect(() => pool.retain(id)).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  expect(() => pool.checkHeld(id)).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  expect(() => pool.isSoleHolder(id)).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  const words = new Int32Array(4);
  const offset = pool.offsetOf(id);
  expect(() => pool.moveInto(id, offset, 1, words, 0)).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  expect(controlWords(pool)).toEqual(before);
  expect(Array.from(words)).toEqual([0, 0, 0, 0]);
});

test('a thread cannot release what another holds', () => {
  const pool = BufferPool.create(small);
  const other = BufferPool.attach(pool.handle);
  const id = pool.tryAcquire();
  const before = controlWords(pool).slice();
  for (const call of [
    () => other.release(id),
    () => other.retain(id),
    () => other.checkHeld(id),
    () => other.moveInto(id, pool.offsetOf(id), 1, new Int32Array(4), 0),
  ]) {
    expect(call).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
    expect(call).toThrow(`buffer ${id}, thread slot 1`);
  }
  expect(controlWords(pool)).toEqual(before);
  pool.release(id);
  expectAllHome(pool);
});

test('asking whether a buffer is held changes nothing, whatever others hold', () => {
  const pool = BufferPool.create(small);
  const other = BufferPool.attach(pool.handle);
  const id = pool.tryAcquire();
  const words = new Int32Array(4);
  pool.retain(id);
  pool.moveInto(id, pool.offsetOf(id), 1, words, 0);
  other.moveFrom(words, 0);
  const before = controlWords(pool).slice();
  for (const each of [pool, other]) each.checkHeld(id);
  expect(controlWords(pool)).toEqual(before);
  for (const wrong of [-1, 0.5, 8, '0', undefined, null, 2 ** 32 + id]) {
    expect(() => pool.checkHeld(wrong as BufferId)).toThrow(/^id must be/);
  }
  other.release(id);
  expect(() => other.checkHeld(id)).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  pool.release(id);
  expectAllHome(pool);
  pool.detach();
  expect(() => pool.checkHeld(id)).toThrow(coded('ERR_BUSBAR_DETACHED'));
});

test('what is no buffer of the pool is refused by name, and nothing changes', () => {
  const pool = BufferPool.create(small);
  drain(pool);
  const before = controlWords(pool).slice();
  const words = new Int32Array(4);
  for (const id of [-1, 8, 1000, 2 ** 31, 2 ** 32, 0.5, -0.5, NaN, Infinity] as BufferId[]) {
    const message = `id must be an integer from 0 to 7, got ${id}`;
    for (const call of [
      () => pool.release(id),
      () => pool.retain(id),
      () => pool.isSoleHolder(id),
      () => pool.moveInto(id, 0, 0, words, 0),
    ]) {
      expect(call, `${id}`).toThrow(RangeError);
      expect(call, `${id}`).toThrow(message);
    }
  }
  for (const id of ['0', '1', undefined, null, {}, [1], 1n, true] as unknown as BufferId[]) {
    for (const call of [
      () => pool.release(id),
      () => pool.retain(id),
      () => pool.isSoleHolder(id),
      () => pool.moveInto(id, 0, 0, words, 0),
    ]) {
      expect(call, `${typeof id} ${id}`).toThrow(TypeError);
    }
  }
  expect(controlWords(pool)).toEqual(before);
});

test('only the one who holds the last reference anywhere is the sole holder', () => {
  const pool = BufferPool.create(small);
  const other = BufferPool.attach(pool.handle);
  const words = new Int32Array(8);
  const id = pool.tryAcquire();
  const offset = pool.offsetOf(id);
  expect(pool.isSoleHolder(id)).toBe(true);
  pool.retain(id);
  expect(pool.isSoleHolder(id)).toBe(false);
  pool.moveInto(id, offset, 1, words, 0);
  expect(pool.isSoleHolder(id)).toBe(false);
  other.moveFrom(words, 0);
  expect(pool.isSoleHolder(id)).toBe(false);
  expect(other.isSoleHolder(id)).toBe(false);
  pool.release(id);
  expect(other.isSoleHolder(id)).toBe(true);
  expect(other.isSoleHolder(id)).toBe(true);
  expect(auditPool(pool)).toEqual([]);
  other.retain(id);
  other.moveInto(id, offset, 1, words, 0);
  other.release(id);
  pool.moveFrom(words, 0);
  expect(pool.isSoleHolder(id)).toBe(true);
  pool.release(id);
  expectAllHome(pool);
});

test('a cache keeps at most one and a half batches to itself', () => {
  for (const batchSize of [1, 2, 3, 8, 64]) {
    const pool = BufferPool.create({ bufferSize: 1, bufferCount: 256, batchSize, maxThreads: 2 });
    const limit = batchSize + Math.max(1, batchSize >> 1);
    const ids = drain(pool);
    for (const id of ids) {
      pool.release(id);
      expect(pool.stats().freeCached).toBeLessThan(limit);
    }
    expectAllHome(pool);
    expect(drain(pool).length).toBe(256);
  }
});

test('batches move between cache and shared list, and are counted', () => {
  const pool = BufferPool.create({ bufferSize: 1, bufferCount: 32, batchSize: 8, maxThreads: 1 });
  const ids = drain(pool);
  expect(pool.stats().threads[0]).toMatchObject({ acquires: 32, refills: 4, overflows: 0 });
  for (const id of ids) pool.release(id);
  expect(pool.stats().threads[0]).toMatchObject({ acquires: 32, overflows: 3, cached: 8 });
  for (let i = 0; i < 1000; i++) pool.release(pool.tryAcquire());
  expect(pool.stats().threads[0]).toMatchObject({ acquires: 1032, refills: 4, overflows: 3 });
});

test('the smallest pool there is works', () => {
  const pool = BufferPool.create({ bufferSize: 1, bufferCount: 1, batchSize: 1, maxThreads: 1 });
  for (let i = 0; i < 10; i++) {
    const id = pool.tryAcquire();
    expect(id).toBe(0);
    expect(pool.tryAcquire()).toBe(NO_BUFFER);
    pool.release(id);
  }
  expectAllHome(pool);
});

test('counts of acquired buffers go on beyond 2³² and tickets beyond 2³¹', async () => {
  const pool = BufferPool.create(small);
  const words = controlWords(pool);
  const record = controlLayout(pool).thread(0);
  words[record + ACQUIRES] = -3;
  for (let i = 0; i < 5; i++) pool.release(pool.tryAcquire());
  expect(pool.stats().threads[0]?.acquires).toBe(2 ** 32 + 2);
  words[record + ACQUIRES] = -1;
  drain(pool);
  expect(pool.stats().threads[0]?.acquires).toBe(2 * 2 ** 32 + 7);
});

test('a random life on several threads keeps every word right', () => {
  const random = new Random(20_26);
  for (const [bufferCount, batchSize] of [
    [1, 1],
    [7, 1],
    [7, 7],
    [64, 4],
  ] as const) {
    const first = BufferPool.create({ bufferSize: 8, bufferCount, batchSize, maxThreads: 4 });
    const pools = [first, ...Array.from({ length: 3 }, () => BufferPool.attach(first.handle))];
    const held: BufferId[][] = pools.map(() => []);
    for (let i = 0; i < 4000; i++) {
      const who = random.below(4);
      const pool = pools[who];
      const mine = held[who];
      const pick = mine[random.below(mine.length || 1)];
      const action = random.below(8);
      if (action < 4 || pick === undefined) {
        const id = pool.tryAcquire();
        if (id !== NO_BUFFER) mine.push(id);
      } else if (action === 4) {
        pool.retain(pick);
        mine.push(pick);
      } else {
        mine.splice(mine.indexOf(pick), 1);
        pool.release(pick);
      }
      if (i % 50 === 0) expect(auditPool(first)).toEqual([]);
    }
    expect(auditPool(first)).toEqual([]);
    const counts = first.who().threads.map((thread) => thread.held);
    expect(counts).toEqual(held.map((mine) => new Set(mine).size));
    held.forEach((mine, who) => {
      for (const id of mine) pools[who].release(id);
    });
    expectAllHome(first);
  }
});

test('detach gives the cache back and frees the slot', () => {
  const pool = BufferPool.create(small);
  const other = BufferPool.attach(pool.handle);
  expect(other.threadSlot).toBe(1);
  other.release(other.tryAcquire());
  expect(pool.stats().freeCached).toBeGreaterThan(0);
  other.detach();
  other.detach();
  expect(pool.stats()).toMatchObject({ freeShared: 8, freeCached: 0 });
  expect(pool.stats().threads.map(({ slot }) => slot)).toEqual([0]);
  const next = BufferPool.attach(pool.handle);
  expect(next.threadSlot).toBe(1);
  expect(drain(next).length).toBe(8);
});

test('new says how a pool is made', () => {
  const Made = BufferPool as unknown as new (...args: unknown[]) => BufferPool;
  for (const args of [[], [{}], [{ bufferSize: 64, bufferCount: 1 }, {}]]) {
    expect(() => new Made(...args)).toThrow(
      new TypeError('new BufferPool is refused: use BufferPool.create or BufferPool.attach'),
    );
  }
});

test('detach is refused while buffers are held, and then changes nothing', () => {
  const pool = BufferPool.create(small);
  const other = BufferPool.attach(pool.handle);
  const id = other.tryAcquire();
  const before = controlWords(pool).slice();
  expect(() => other.detach()).toThrow(coded('ERR_BUSBAR_BUFFERS_HELD'));
  expect(() => other.detach()).toThrow('1 buffers');
  expect(controlWords(pool)).toEqual(before);
  other.retain(id);
  other.release(id);
  other.release(id);
  other.detach();
  pool.detach();
  const again = BufferPool.attach(pool.handle);
  expectAllHome(again);
});

test('a detached pool refuses every call, even with a buffer of old', async () => {
  const pool = BufferPool.create(small);
  const id = pool.tryAcquire();
  pool.release(id);
  const other = BufferPool.attach(pool.handle);
  pool.detach();
  const words = new Int32Array(4);
  for (const call of [
    () => pool.tryAcquire(),
    () => pool.acquireSync(),
    () => pool.acquireSync(0),
    () => pool.retain(id),
    () => pool.release(id),
    () => pool.isSoleHolder(id),
    () => pool.moveInto(id, 0, 0, words, 0),
    () => pool.moveFrom(words, 0),
    () => pool.reclaim(1),
    () => pool.reclaimDead(),
    () => pool.stats(),
    () => pool.close(),
  ]) {
    expect(call).toThrow(coded('ERR_BUSBAR_DETACHED'));
  }
  await expect(pool.acquire()).rejects.toThrow(coded('ERR_BUSBAR_DETACHED'));
  await expect(pool.acquire({ timeoutMs: 0 })).rejects.toThrow(coded('ERR_BUSBAR_DETACHED'));
  pool[Symbol.dispose]();
  expect(other.tryAcquire()).not.toBe(NO_BUFFER);
});

test('a closed pool gives nothing out, takes everything back, reports what is out', async () => {
  const pool = BufferPool.create(small);
  const other = BufferPool.attach(pool.handle);
  const ids = [pool.tryAcquire(), pool.tryAcquire(), other.tryAcquire()];
  const words = new Int32Array(4);
  pool.retain(ids[0]);
  const sent = other.tryAcquire();
  other.moveInto(sent, other.offsetOf(sent), 0, words, 0);
  expect(pool.close()).toEqual({ heldByThreads: 3, inTransit: 1, leaks: 'off' });
  expect(pool.stats().closed).toBe(true);
  for (const each of [pool, other]) {
    expect(() => each.tryAcquire()).toThrow(coded('ERR_BUSBAR_POOL_CLOSED'));
    expect(() => each.acquireSync()).toThrow(coded('ERR_BUSBAR_POOL_CLOSED'));
    await expect(each.acquire()).rejects.toThrow(coded('ERR_BUSBAR_POOL_CLOSED'));
  }
  expect(() => BufferPool.attach(pool.handle)).toThrow(coded('ERR_BUSBAR_POOL_CLOSED'));
  pool.retain(ids[0]);
  for (let i = 0; i < 3; i++) pool.release(ids[0]);
  pool.release(ids[1]);
  other.release(ids[2]);
  pool.release(pool.moveFrom(words, 0));
  expect(other.close()).toEqual({ heldByThreads: 0, inTransit: 0, leaks: 'off' });
  expectAllHome(pool);
  other.detach();
  pool.detach();
});

test('`using` a pool closes it', () => {
  const pool = BufferPool.create(small);
  {
    using mine = pool;
    mine.release(mine.tryAcquire());
  }
  expect(() => pool.tryAcquire()).toThrow(coded('ERR_BUSBAR_POOL_CLOSED'));
});

test('stats tell where everything is', () => {
  const pool = BufferPool.create({ bufferSize: 1, bufferCount: 16, batchSize: 4, maxThreads: 4 });
  const other = BufferPool.attach(pool.handle);
  const words = new Int32Array(4);
  const ids = [pool.tryAcquire(), pool.tryAcquire()];
  const theirs = other.tryAcquire();
  pool.moveInto(ids[0], pool.offsetOf(ids[0]), 1, words, 0);
  other.retain(theirs);
  const { holders, text, ...stats } = pool.who();
  expect(stats).toEqual({
    name: '',
    capacity: 16,
    freeShared: 8,
    freeCached: 5,
    held: 3,
    inTransit: 1,
    waiting: 0,
    closed: false,
    memory: pool.handle.memory === undefined ? 'plain' : 'wasm',
    threads: [
      {
        slot: 0,
        name: 'thread 0',
        state: 'attached',
        cached: 2,
        held: 1,
        waiting: false,
        acquires: 2,
        refills: 1,
        overflows: 0,
        waits: 0,
        reclaims: 0,
        giveBacks: 0,
      },
      {
        slot: 1,
        name: 'thread 1',
        state: 'attached',
        cached: 3,
        held: 1,
        waiting: false,
        acquires: 1,
        refills: 1,
        overflows: 0,
        waits: 0,
        reclaims: 0,
        giveBacks: 0,
      },
    ],
  });
  expect(other.who()).toEqual({ ...stats, holders, text });
  expect(controlWords(pool)[controlLayout(pool).thread(1) + CACHE_COUNT]).toBe(3);
});

test('a handle whose field says something else the second time is read once', () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 2, maxThreads: 4 });
  const others = BufferPool.create({ bufferSize: 64, bufferCount: 2, maxThreads: 4 });
  for (const second of [others.handle.data, [1, 2]]) {
    let reads = 0;
    const lying = {
      ...pool.handle,
      get data(): SharedArrayBuffer {
        return reads++ === 0 ? pool.handle.data : (second as SharedArrayBuffer);
      },
    };
    const attached = BufferPool.attach(lying);
    expect(attached.bytes.buffer).toBe(pool.handle.data);
    expect(attached.handle.data).toBe(pool.handle.data);
    attached.detach();
  }
});
