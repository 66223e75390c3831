// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { turn } from '../../test/turns.ts';
import { BufferPool } from '../pool/index.ts';
import { Semaphore, type SemaphoreOptions } from './index.ts';

/** Semaphores of one pool: attached twice, this thread counts as two. */
function two(options: SemaphoreOptions) {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
  const other = BufferPool.attach(pool.handle);
  const a = Semaphore.create(pool, options);
  return { pool, other, a, b: Semaphore.attach(other, a.handle) };
}

test('permits are taken all or none, and given back', () => {
  const { a, b } = two({ permits: 3 });
  expect(a.tryAcquire(2)).toBe('acquired');
  expect(b.tryAcquire(2)).toBe('busy');
  expect(b.acquireSync(2, 1)).toBe('timeout');
  expect(b.permits).toBe(1);
  expect(b.tryAcquire()).toBe('acquired');
  expect(a.release(2)).toBe('released');
  expect(b.acquireSync(2)).toBe('acquired');
  expect(b.permits).toBe(0);
});

test('the cap is a cap, whoever releases', () => {
  const { a, b } = two({ permits: 0, max: 2 });
  expect([a.release(), b.release(), a.release(), b.release(2)]).toEqual([
    'released',
    'released',
    'full',
    'full',
  ]);
  expect(a.permits).toBe(2);
});

test('callers of all threads are served in order; many permits are not overtaken', async () => {
  const { a, b } = two({ permits: 0, max: 4 });
  const served: string[] = [];
  const waits = [
    a.acquire(3).then(() => served.push('a 3')),
    b.acquire(1).then(() => served.push('b 1')),
  ];
  await turn();
  const late = a.acquire(1).then(() => served.push('a 1'));
  a.release(2);
  await turn();
  await turn();
  expect(served).toEqual([]);
  // Newcomers do not get past those who wait.
  expect(b.tryAcquire(1)).toBe('busy');
  b.release(1);
  await waits[0];
  b.release(2);
  await Promise.all([...waits, late]);
  expect(served).toEqual(['a 3', 'b 1', 'a 1']);
  expect(a.permits).toBe(0);
  expect(b.release(4)).toBe('released');
  expect(a.tryAcquire(4)).toBe('acquired');
});

/** A tick of a waiting caller: what its timer does every 50 ms, however late. */
const tick = (semaphore: Semaphore): void => semaphore.checkPeers();

test('many permits are not overtaken, however long they are missing', async () => {
  const { a, b } = two({ permits: 0, max: 4 });
  const served: string[] = [];
  const many = a.acquire(3).then(() => served.push('a 3'));
  const few = b.acquire(1).then(() => served.push('b 1'));
  a.release(2);
  for (let i = 0; i < 5; i++) {
    tick(b);
    b.recover();
    await turn();
  }
  expect(served).toEqual([]);
  a.release(2);
  await Promise.all([many, few]);
  expect(served).toEqual(['a 3', 'b 1']);
});

test('who does not take its permits is passed over, but not at the first tick', async () => {
  const { a, b } = two({ permits: 0, max: 4 });
  const waits = [a.acquire(2), b.acquire(1)];
  // Until a turn of the event loop no ring reaches anyone, as if this thread were busy.
  a.release(4);
  tick(b);
  b.recover();
  expect(b.tryAcquire()).toBe('busy');
  tick(b);
  expect(b.tryAcquire()).toBe('acquired');
  expect(await Promise.all(waits)).toEqual(['acquired', 'acquired']);
});

test('waits that end early say how, and leave the permits to the next', async () => {
  const { a, b } = two({ permits: 0 });
  const controller = new AbortController();
  const aborted = a.acquire(1, { signal: controller.signal });
  const late = a.acquire(1, { timeoutMs: 1 });
  const next = b.acquire();
  controller.abort();
  expect(await aborted).toBe('aborted');
  expect(await late).toBe('timeout');
  a.release();
  expect(await next).toBe('acquired');
  expect(a.release()).toBe('released');
  expect(a.tryAcquire()).toBe('acquired');
});

test('disable ends every wait, and says so', async () => {
  const { a, b } = two({ permits: 0 });
  const waits = [a.acquire(), b.acquire(), b.guard()] as const;
  const refused = expect(waits[2]).rejects.toMatchObject({ code: 'ERR_BUSBAR_DISABLED' });
  a.disable();
  a.disable();
  expect(await Promise.all(waits.slice(0, 2))).toEqual(['disabled', 'disabled']);
  await refused;
  expect(b.disabled).toBe(true);
  expect(b.release()).toBe('disabled');
  expect(a.tryAcquire()).toBe('disabled');
  expect(b.acquireSync()).toBe('disabled');
});

test('permits that are owned are given back by the thread that has them, and no other', () => {
  const { a, b } = two({ permits: 2, owned: true });
  const notOwner = expect.objectContaining({ code: 'ERR_BUSBAR_NOT_OWNER' });
  expect(() => a.release()).toThrow(notOwner);
  {
    using guard = a.guardSync(2);
    expect(guard.released).toBe(false);
    expect(() => b.release()).toThrow(notOwner);
    expect(b.tryGuard()).toBeUndefined();
    expect(() => a.acquireSync()).toThrow(expect.objectContaining({ code: 'ERR_BUSBAR_DEADLOCK' }));
  }
  expect(a.permits).toBe(2);
});

test.each([true, false])('what becomes of the permits of a thread that left: owned %s', (owned) => {
  const { a, b, other } = two({ permits: 2, owned });
  b.tryAcquire(2);
  other.detach();
  expect(a.recover()).toBe(owned);
  expect(a.permits).toBe(owned ? 2 : 0);
  expect(a.recover()).toBe(false);
});

test('a thread that gets the slot of one that left does not get its permits', () => {
  const { a, b, pool, other } = two({ permits: 2, owned: true });
  b.tryAcquire(2);
  const { threadSlot } = other;
  other.detach();
  const heir = BufferPool.attach(pool.handle);
  expect(heir.threadSlot).toBe(threadSlot);
  const c = Semaphore.attach(heir, a.handle);
  expect(c.permits).toBe(2);
  expect(() => c.release()).toThrow(expect.objectContaining({ code: 'ERR_BUSBAR_NOT_OWNER' }));
});

test('arguments and handles are checked', async () => {
  const { a, pool } = two({ permits: 1 });
  const create = (options: unknown) => () => Semaphore.create(pool, options as never);
  expect(create({ permits: 3, max: 2 })).toThrow(/^permits must be at most max/);
  expect(create({ permits: -1 })).toThrow(/^permits must/);
  expect(create({ permits: 1, owned: 1 })).toThrow(/^owned must/);
  for (const count of [0, 2, 1.5, Number.NaN, '1', -1]) {
    expect(() => a.tryAcquire(count as never)).toThrow(/^count must/);
    expect(() => a.release(count as never)).toThrow(/^count must/);
    await expect(a.acquire(count as never)).rejects.toThrow(/^count must/);
  }
  const bad = expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' });
  const control = new SharedArrayBuffer(640);
  expect(() => Semaphore.attach(pool, { ...a.handle, control } as never)).toThrow(bad);
  expect(() => Semaphore.attach(pool, pool.handle as never)).toThrow(bad);
  expect(JSON.parse(JSON.stringify(a))).toMatchObject({ type: 'Semaphore', permits: 1, max: 1 });
});

test('options that are none are refused, null too', async () => {
  const { a } = two({ permits: 1 });
  await expect(a.acquire(1, null as never)).rejects.toThrow(/^options must be an object/);
  await expect(a.guard(1, 7 as never)).rejects.toThrow(/^options must be an object/);
  expect(a.permits).toBe(1);
});
