// SPDX-License-Identifier: MIT
/** Fair locks: threads begin to wait while another stands still before one of its accesses. */
import { expect, test } from 'vitest';
import { BufferPool } from '../../src/pool/index.ts';
import { Mutex, RwLock } from '../../src/sync/index.ts';
import { pauseAt } from '../accesses.ts';

const ACCESSES_MAX = 300;

/** One thread's object of a lock. */
interface Lock {
  readonly lock: () => Promise<string>;
  readonly tryLock: () => string;
  readonly unlock: () => void;
  readonly isHeld: () => boolean;
  /** Whether a newcomer gets it; it is given back at once. */
  readonly comes: () => string;
}

function mutexOf(mutex: Mutex): Lock {
  return {
    lock: () => mutex.lock(),
    tryLock: () => mutex.tryLock(),
    unlock: () => mutex.unlock(),
    isHeld: () => mutex.isHeld,
    comes: () => {
      const result = mutex.tryLock();
      if (result === 'acquired') mutex.unlock();
      return result;
    },
  };
}

/** A lock that writers wait for. */
function rwLockOf(lock: RwLock, comes: 'tryRead' | 'tryWrite'): Lock {
  return {
    lock: () => lock.write(),
    tryLock: () => lock.tryWrite(),
    unlock: () => lock.unlockWrite(),
    isHeld: () => lock.isWriting,
    comes: () => {
      const result = lock[comes]();
      if (result === 'acquired' && comes === 'tryRead') lock.unlockRead();
      else if (result === 'acquired') lock.unlockWrite();
      return result;
    },
  };
}

/** Four threads' objects of one lock: attached four times, this thread counts as four. */
const KINDS: Readonly<Record<string, (pools: readonly BufferPool[]) => Lock[]>> = {
  'a fair mutex': (pools) => {
    const { handle } = Mutex.create(pools[0], { order: 'fair' });
    return pools.map((pool) => mutexOf(Mutex.attach(pool, handle)));
  },
  'a read-write lock, by a writer': (pools) => {
    const { handle } = RwLock.create(pools[0]);
    return pools.map((pool) => rwLockOf(RwLock.attach(pool, handle), 'tryWrite'));
  },
  'a read-write lock, by a reader': (pools) => {
    const { handle } = RwLock.create(pools[0]);
    return pools.map((pool) => rwLockOf(RwLock.attach(pool, handle), 'tryRead'));
  },
};
const kinds = Object.keys(KINDS);

/** The first one has the lock; if it has waited for it, it has to look whether others wait. */
async function four(kind: string, hasWaited: boolean): Promise<Lock[]> {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
  const locks = KINDS[kind]([pool, ...[1, 2, 3].map(() => BufferPool.attach(pool.handle))]);
  const [a] = locks;
  expect(a.tryLock()).toBe('acquired');
  if (!hasWaited) return locks;
  const again = a.lock();
  a.unlock();
  expect(await again).toBe('acquired');
  return locks;
}

test.each(kinds)('%s: one that begins to wait within unlock is not overtaken', async (kind) => {
  let waits = 0;
  for (let k = 1; ; k++) {
    expect(k).toBeLessThan(ACCESSES_MAX);
    const [a, b, c] = await four(kind, true);
    let locking: Promise<string> | undefined;
    const begins = () => {
      locking = b.lock();
    };
    if (!pauseAt(k, begins, a.unlock)) break;
    if (!b.isHeld()) {
      waits++;
      expect([k, c.comes()]).toEqual([k, 'busy']);
    }
    expect(await locking).toBe('acquired');
    b.unlock();
    expect(c.comes()).toBe('acquired');
  }
  expect(waits).toBeGreaterThan(3);
});

test.each(kinds)('%s: nor one that waits after one that begins to', async (kind) => {
  let waits = 0;
  for (let k = 1; ; k++) {
    expect(k).toBeLessThan(ACCESSES_MAX);
    const [a, b, c, d] = await four(kind, false);
    let second: Promise<string> | undefined;
    let came = 'busy';
    const goesOn = () => {
      a.unlock();
      second = c.lock();
      if (c.isHeld()) return;
      waits++;
      came = d.comes();
    };
    let first: Promise<string> | undefined;
    const begins = () => {
      first = b.lock();
    };
    if (!pauseAt(k, goesOn, begins)) break;
    expect([k, came]).toEqual([k, 'busy']);
    if (c.isHeld()) c.unlock();
    expect(await first).toBe('acquired');
    b.unlock();
    // Before or after the first one.
    expect(await second).toBe('acquired');
    if (c.isHeld()) c.unlock();
    expect(d.comes()).toBe('acquired');
  }
  expect(waits).toBeGreaterThan(1);
});
