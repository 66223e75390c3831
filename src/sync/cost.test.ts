// SPDX-License-Identifier: MIT
/** What the fast paths cost, in accesses to shared memory: as their comments say, and no more. */
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { Countdown, Event, Gate, Mutex, Once, RwLock, Semaphore, WaitGroup } from './index.ts';

const THREADS = 4;

/** The names of the functions of Atomics that are called, each with the number of its calls. */
function accessesOf(run: () => void): Record<string, number> {
  const real = globalThis.Atomics;
  const counts: Record<string, number> = {};
  const counting = new Proxy(real, {
    get(target, name: string) {
      counts[name] = (counts[name] ?? 0) + 1;
      return Reflect.get(target, name);
    },
  });
  globalThis.Atomics = counting;
  try {
    run();
  } finally {
    globalThis.Atomics = real;
  }
  return counts;
}

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: THREADS });

test.each(['barging', 'lifo', 'fair'] as const)(
  'a %s mutex that no other thread wants: two read-modify-writes, whichever way',
  (order) => {
    const mutex = Mutex.create(pool, { order });
    const ways: (() => void)[] = [
      () => {
        mutex.tryLock();
        mutex.unlock();
      },
      () => {
        mutex.lockSync();
        mutex.unlock();
      },
      () => mutex.tryGuard()?.release(),
      () => mutex.guardSync(1).release(),
    ];
    for (const way of ways) expect(accessesOf(way)).toEqual({ compareExchange: 2 });
    // The tag travels with the lock.
    const tags = (): void => {
      mutex.tryLock();
      mutex.tag += 1;
      mutex.unlock();
    };
    expect(accessesOf(tags)).toEqual({ compareExchange: 2, load: 2 });
  },
);

test('after others have waited it is so again', async () => {
  const other = BufferPool.attach(pool.handle);
  for (const order of ['barging', 'fair'] as const) {
    const mutex = Mutex.create(pool, { order });
    const waiter = Mutex.attach(other, mutex.handle);
    mutex.tryLock();
    const waiting = waiter.lock();
    mutex.unlock();
    expect(await waiting).toBe('acquired');
    waiter.unlock();
    const way = (): void => {
      mutex.lockSync();
      mutex.unlock();
    };
    expect(accessesOf(way)).toEqual({ compareExchange: 2 });
  }
  other.detach();
});

test('a read-write lock: readers write to a word of their own, writers look at each thread', () => {
  const lock = RwLock.create(pool);
  const reads = (): void => {
    lock.readSync();
    lock.unlockRead();
  };
  expect(accessesOf(reads)).toEqual({ store: 2, load: 2 });
  const writes = (): void => {
    lock.tryWrite();
    lock.unlockWrite();
  };
  // Whether threads read, twice; whether some wait; STATE.
  expect(accessesOf(writes)).toEqual({ compareExchange: 2, load: 3 * THREADS + 1 });
});

test.each([true, false])('a semaphore (owned: %s): a look and a change each', (owned) => {
  const semaphore = Semaphore.create(pool, { permits: 2, owned });
  const uses = (): void => {
    semaphore.acquireSync();
    semaphore.release();
  };
  expect(accessesOf(uses)).toEqual({ load: 2, compareExchange: 2 });
});

test('rsm Once: what is made costs one look, not a lock', () => {
  const once = Once.create(pool);
  once.runSync(() => 7);
  expect(accessesOf(() => once.tryBegin())).toEqual({ load: 1 });
  expect(accessesOf(() => once.runSync(() => 8))).toEqual({ load: 1 });
});

test('events, gates and what counts: a look and a change', () => {
  const once = { load: 1, compareExchange: 1 };
  const event = Event.create(pool, { reset: 'auto' });
  expect(accessesOf(() => event.set())).toEqual(once);
  expect(accessesOf(() => event.set())).toEqual({ load: 1 });
  const gate = Gate.create(pool);
  gate.open();
  expect(accessesOf(() => gate.tryEnter())).toEqual(once);
  const group = WaitGroup.create(pool);
  expect(accessesOf(() => group.add(2))).toEqual(once);
  expect(accessesOf(() => group.done())).toEqual(once);
  const countdown = Countdown.create(pool, 2);
  expect(accessesOf(() => countdown.arrive())).toEqual(once);
});
