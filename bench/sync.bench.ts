// SPDX-License-Identifier: MIT
/** What locks and permits cost while no other thread wants them. */

import { BufferPool } from 'busbar/pool';
import { Mutex, RwLock, Semaphore } from 'busbar/sync';
import type { BenchCase, PreparedCase } from './bench-case.ts';

const UNIT = 1000;
/** Words apart from all others. */
const WORD = 64;

export const syncCases: readonly BenchCase[] = [
  {
    id: 'sync/compare-exchange-pair',
    what: 'the yardstick: two bare compareExchange of one word, 0 → 1 → 0',
    unit: UNIT,
    threads: 1,
    prepare() {
      const words = new Int32Array(new SharedArrayBuffer(8 * WORD));
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            sum += Atomics.compareExchange(words, WORD, 0, 1);
            sum += Atomics.compareExchange(words, WORD, 1, 0);
          }
          return sum;
        },
        close() {},
      };
    },
  },
  {
    id: 'sync/mutex-uncontended',
    what: 'tryLock, unlock',
    unit: UNIT,
    threads: 1,
    prepare: () =>
      withMutex((mutex, ops) => {
        let count = 0;
        for (let i = 0; i < ops; i++) {
          if (mutex.tryLock() === 'acquired') count++;
          mutex.unlock();
        }
        return count;
      }),
  },
  {
    id: 'sync/mutex-uncontended-block',
    what: 'lockSync, unlock',
    unit: UNIT,
    threads: 1,
    prepare: () =>
      withMutex((mutex, ops) => {
        let count = 0;
        for (let i = 0; i < ops; i++) {
          if (mutex.lockSync() === 'acquired') count++;
          mutex.unlock();
        }
        return count;
      }),
  },
  {
    id: 'sync/mutex-uncontended-guard',
    what: 'guardSync, release',
    unit: UNIT,
    threads: 1,
    prepare: () =>
      withMutex((mutex, ops) => {
        for (let i = 0; i < ops; i++) mutex.guardSync().release();
        return ops;
      }),
  },
  {
    id: 'sync/mutex-async-contended',
    what: 'await lock, unlock, by two asynchronous functions of one thread',
    unit: UNIT,
    threads: 1,
    prepare: () =>
      withMutex(async (mutex, ops) => {
        let count = 0;
        const work = async (): Promise<void> => {
          while (count < ops) {
            if ((await mutex.lock()) !== 'acquired') throw new Error('not acquired');
            count++;
            // The other function asks for it meanwhile.
            await undefined;
            mutex.unlock();
          }
        };
        await Promise.all([work(), work()]);
        return count;
      }),
  },
  {
    id: 'sync/rwlock-read-uncontended',
    what: 'tryRead, unlockRead',
    unit: UNIT,
    threads: 1,
    prepare: () =>
      withRwLock((lock, ops) => {
        let count = 0;
        for (let i = 0; i < ops; i++) {
          if (lock.tryRead() === 'acquired') count++;
          lock.unlockRead();
        }
        return count;
      }),
  },
  {
    id: 'sync/rwlock-write-uncontended',
    what: 'tryWrite, unlockWrite; a pool of 4 threads',
    unit: UNIT,
    threads: 1,
    prepare: () =>
      withRwLock((lock, ops) => {
        let count = 0;
        for (let i = 0; i < ops; i++) {
          if (lock.tryWrite() === 'acquired') count++;
          lock.unlockWrite();
        }
        return count;
      }),
  },
  {
    id: 'sync/semaphore-uncontended',
    what: 'tryAcquire, release; owned',
    unit: UNIT,
    threads: 1,
    prepare() {
      const pool = createPool();
      const semaphore = Semaphore.create(pool, { permits: 1, owned: true });
      return {
        run(ops) {
          let count = 0;
          for (let i = 0; i < ops; i++) {
            if (semaphore.tryAcquire() === 'acquired') count++;
            semaphore.release();
          }
          return count;
        },
        close: () => pool.detach(),
      };
    },
  },
];

function withMutex(run: (mutex: Mutex, ops: number) => number | Promise<number>): PreparedCase {
  const pool = createPool();
  const mutex = Mutex.create(pool);
  return {
    run: (ops) => run(mutex, ops),
    close: () => pool.detach(),
  };
}

function withRwLock(run: (lock: RwLock, ops: number) => number): PreparedCase {
  const pool = createPool();
  const lock = RwLock.create(pool);
  return {
    run: (ops) => run(lock, ops),
    close: () => pool.detach(),
  };
}

function createPool(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 4 });
}
