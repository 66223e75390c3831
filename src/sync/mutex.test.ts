// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { turn } from '../../test/turns.ts';
import { BufferPool } from '../pool/index.ts';
import { Mutex, type MutexOptions } from './index.ts';

const shape = { bufferSize: 64, bufferCount: 1, maxThreads: 4 };

/** Mutexes of one pool: attached twice, this thread counts as two. */
function two(options?: MutexOptions) {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const a = Mutex.create(pool, options);
  return { pool, other, a, b: Mutex.attach(other, a.handle) };
}

const orders = ['barging', 'lifo', 'fair'] as const;

test.each(orders)('%s: one thread has the lock, and the next gets it with the tag', (order) => {
  const { a, b } = two({ order });
  expect(a.tryLock()).toBe('acquired');
  expect(a.isHeld).toBe(true);
  a.tag = -7;
  expect(b.tryLock()).toBe('busy');
  expect(b.lockSync(1)).toBe('timeout');
  expect(b.state).toBe('held');
  a.unlock();
  expect(b.lockSync()).toBe('acquired');
  expect(b.tag).toBe(-7);
  expect(b.ownerDied).toBe(false);
  b.unlock();
  expect(b.state).toBe('free');
});

test.each(orders)('%s: callers of one thread are served in the order they came', async (order) => {
  const { a, b } = two({ order });
  expect(b.tryLock()).toBe('acquired');
  const served: number[] = [];
  const waits = [0, 1, 2, 3].map(async (number) => {
    expect(await a.lock()).toBe('acquired');
    served.push(number);
    await turn();
    expect(served.at(-1)).toBe(number);
    a.unlock();
  });
  await turn();
  b.unlock();
  await Promise.all(waits);
  expect(served).toEqual([0, 1, 2, 3]);
  expect(a.state).toBe('free');
});

test.each(['barging', 'fair'] as const)('%s: what happens to newcomers', async (order) => {
  const { a, b } = two({ order });
  a.tryLock();
  const waiting = b.lock();
  await turn();
  a.unlock();
  // The waiter's turn has not come yet: in a fair mutex, it is the next one still.
  expect(a.tryLock()).toBe(order === 'fair' ? 'busy' : 'acquired');
  if (order !== 'fair') a.unlock();
  expect(await waiting).toBe('acquired');
  b.unlock();
});

test.each(orders)('%s: waits that end early say how, and take no lock along', async (order) => {
  const { a, b, pool } = two({ order });
  a.tryLock();
  const controller = new AbortController();
  const waits = [
    b.lock({ timeoutMs: 5 }),
    b.lock({ signal: controller.signal }),
    b.lock({ signal: AbortSignal.abort(), timeoutMs: 5 }),
  ];
  controller.abort();
  expect(await Promise.all(waits)).toEqual(['timeout', 'aborted', 'aborted']);
  a.unlock();
  expect(a.tryLock()).toBe('acquired');
  a.unlock();
  await expect(b.lock({ timeoutMs: -1 })).rejects.toThrow(RangeError);
  expect(() => b.lockSync(Number.NaN)).toThrow(RangeError);
  expect(pool.stats().waiting).toBe(0);
});

/** A tick of a waiting caller: what its timer does every 50 ms, however late. */
const tick = (mutex: Mutex): void => mutex.checkPeers();

test('fair: who does not take the lock is passed over, but not at the first tick', async () => {
  const { a, b, pool } = two({ order: 'fair' });
  const c = Mutex.attach(BufferPool.attach(pool.handle), a.handle);
  a.tryLock();
  const waits = [b.lock(), c.lock()];
  // Until a turn of the event loop no ring reaches anyone, as if this thread were busy.
  a.unlock();
  tick(c);
  c.recover();
  expect(c.tryLock()).toBe('busy');
  tick(c);
  expect(c.tryLock()).toBe('acquired');
  c.unlock();
  expect(await waits[0]).toBe('acquired');
  b.unlock();
  expect(await waits[1]).toBe('acquired');
  c.unlock();
});

test('fair: who finds the lock taken passes over no thread later', async () => {
  const { a, b, pool } = two({ order: 'fair' });
  const [c, d] = [0, 1].map(() => Mutex.attach(BufferPool.attach(pool.handle), a.handle));
  a.tryLock();
  const served: string[] = [];
  const use = async (name: string, mutex: Mutex): Promise<void> => {
    expect(await mutex.lock()).toBe('acquired');
    served.push(name);
    mutex.unlock();
  };
  const waits = [use('b', b), use('d', d), use('c', c)];
  a.unlock();
  for (let i = 0; i < 3; i++) tick(c);
  // It was to take the lock now, in a microtask.
  expect(b.lockSync()).toBe('acquired');
  await undefined;
  b.unlock();
  expect(c.tryLock()).toBe('busy');
  await Promise.all(waits);
  expect(served).toEqual(['b', 'd', 'c']);
});

test('fair: ticks at which the lock is held do not count', async () => {
  const { a, b, pool } = two({ order: 'fair' });
  const c = Mutex.attach(BufferPool.attach(pool.handle), a.handle);
  a.tryLock();
  const [first, second] = [b.lock(), c.lock()];
  for (let i = 0; i < 5; i++) tick(c);
  a.unlock();
  tick(c);
  expect(c.tryLock()).toBe('busy');
  expect(await first).toBe('acquired');
  b.unlock();
  expect(await second).toBe('acquired');
});

test('a thread that would wait for itself is told so', async () => {
  const { a } = two();
  const first = a.lock();
  expect(a.isHeld).toBe(true);
  // The lock is the asynchronous caller's, which could never unlock if this thread blocked.
  expect(() => a.lockSync(1000)).toThrow(
    expect.objectContaining({
      code: 'ERR_BUSBAR_DEADLOCK',
      message: expect.stringMatching(
        /never end: lockSync of what this thread holds; BUSBAR_TRACK_LEAKS=1 shows where$/,
      ),
    }),
  );
  await first;
  a.unlock();
  expect(a.lockSync()).toBe('acquired');
  a.unlock();
});

test('a caller that blocks is served before those of its thread that await', async () => {
  const { a, b } = two();
  b.tryLock();
  const waiting = a.lock();
  await turn();
  b.unlock();
  expect(a.lockSync(1000)).toBe('acquired');
  a.unlock();
  expect(await waiting).toBe('acquired');
  a.unlock();
});

test('only the thread that has the lock unlocks it, reads and writes the tag', () => {
  const { a, b } = two();
  const notOwner = expect.objectContaining({ code: 'ERR_BUSBAR_NOT_OWNER' });
  expect(() => a.unlock()).toThrow(notOwner);
  b.tryLock();
  expect(() => a.unlock()).toThrow(notOwner);
  expect(() => a.tag).toThrow(notOwner);
  expect(() => {
    a.tag = 1;
  }).toThrow(notOwner);
  expect(() => {
    b.tag = 2 ** 31;
  }).toThrow(RangeError);
  expect(b.isHeld).toBe(true);
});

test('a guard unlocks once, at the end of its block', async () => {
  const { a, b } = two();
  {
    using guard = a.guardSync();
    expect(guard).toMatchObject({ ownerDied: false, released: false });
    expect(b.tryGuard()).toBeUndefined();
    expect(() => b.guardSync(1)).toThrow(expect.objectContaining({ code: 'ERR_BUSBAR_TIMEOUT' }));
    const signal = AbortSignal.abort('enough');
    await expect(b.guard({ signal })).rejects.toBe('enough');
  }
  const guard = await b.guard();
  guard.release();
  guard.release();
  expect(guard.released).toBe(true);
  expect(a.tryGuard()?.released).toBe(false);
});

test('the lock of a thread that has left the pool goes on, and the next one is told', () => {
  const { a, b, other } = two();
  b.tryLock();
  other.detach();
  expect(a.tryLock()).toBe('acquired');
  expect(a.ownerDied).toBe(true);
  a.unlock();
  expect(a.lockSync()).toBe('acquired');
  expect(a.ownerDied).toBe(false);
  expect(() => b.tryLock()).toThrow(expect.objectContaining({ code: 'ERR_BUSBAR_DETACHED' }));
  a.unlock();
});

test.each(['taken over', 'not asked for'])('who has left the pool unlocks nothing: %s', (how) => {
  const { a, b, other } = two();
  const guard = b.guardSync();
  other.detach();
  if (how === 'taken over') expect(a.tryLock()).toBe('acquired');
  const detached = expect.objectContaining({ code: 'ERR_BUSBAR_DETACHED' });
  expect(() => b.unlock()).toThrow(detached);
  expect(() => guard.release()).toThrow(detached);
  expect(() => b.tag).toThrow(detached);
  expect(() => {
    b.tag = 1;
  }).toThrow(detached);
  if (how === 'not asked for') expect(a.tryLock()).toBe('acquired');
  expect([a.isHeld, a.ownerDied, a.tag]).toEqual([true, true, 0]);
});

test('recover() sees to a lock that no thread asks for', () => {
  const { a, b, other } = two();
  b.tryLock();
  other.detach();
  expect(a.recover()).toBe(true);
  expect(a.recover()).toBe(false);
  expect(a.state).toBe('free');
  expect(a.guardSync().ownerDied).toBe(true);
});

test('a mutex that is poisoned is so for all', async () => {
  const { a, b, pool, other } = two({ onOwnerDeath: 'poison' });
  const third = Mutex.attach(BufferPool.attach(pool.handle), a.handle);
  b.tryLock();
  const waiting = third.lock();
  await turn();
  other.detach();
  expect(a.lockSync()).toBe('poisoned');
  expect(await waiting).toBe('poisoned');
  expect(a.state).toBe('poisoned');
  expect(() => a.guardSync()).toThrow(expect.objectContaining({ code: 'ERR_BUSBAR_POISONED' }));
});

test('handles are checked', () => {
  const { a, pool } = two();
  const bad = expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' });
  expect(() => Mutex.attach(BufferPool.create(shape), a.handle)).toThrow(bad);
  for (const handle of [undefined, {}, pool.handle, { ...a.handle, version: 99 }]) {
    expect(() => Mutex.attach(pool, handle as never)).toThrow(bad);
  }
  for (const control of [new ArrayBuffer(640), pool.handle.control, new SharedArrayBuffer(640)]) {
    expect(() => Mutex.attach(pool, { ...a.handle, control } as never)).toThrow(bad);
  }
  expect(() => Mutex.create(pool, { order: 'first' } as never)).toThrow(/^order must be one of/);
  expect(() => Mutex.create(pool, { fair: true } as never)).toThrow(/no option "fair"/);
  expect(JSON.stringify(a)).toBe('{"type":"Mutex","state":"free"}');
});
