// SPDX-License-Identifier: MIT
/** What locks and permits cost while two threads want them. */

import { BufferPool } from 'busbar/pool';
import { Event, type LockOrder, Mutex, RwLock, Semaphore } from 'busbar/sync';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { Crew } from './crew.ts';
import {
  type EventPartnerData,
  type LockerData,
  lockAndCount,
  lockAndRead,
  type PartnerData,
  type ReaderData,
} from './sync-roles.ts';

export const syncThreadCases: readonly BenchCase[] = [
  {
    id: 'sync/mutex-2t',
    what: 'lockSync, a word counted up, unlock, by two threads; per lock',
    unit: 1000,
    threads: 2,
    prepare: () => prepareLockers('barging'),
  },
  {
    id: 'sync/mutex-2t-fair',
    what: 'the same with a fair mutex: the lock changes hands each time',
    unit: 100,
    threads: 2,
    prepare: () => prepareLockers('fair'),
  },
  {
    id: 'sync/rwlock-read-2t',
    what: 'readSync, a word read, unlockRead, by two threads; per lock',
    unit: 1000,
    threads: 2,
    prepare: prepareReaders,
  },
  {
    id: 'sync/semaphore-ping-pong',
    what: 'a permit to another thread and one back, both blocking; per round trip',
    unit: 100,
    threads: 2,
    prepare: preparePingPong,
  },
  {
    id: 'sync/event-ping-pong',
    what: 'an auto event set for another thread and one back, both blocking; per round trip',
    unit: 100,
    threads: 2,
    prepare: prepareEvents,
  },
];

async function prepareLockers(order: LockOrder): Promise<PreparedCase> {
  const pool = createPool();
  const mutex = Mutex.create(pool, { order });
  const words = new Int32Array(new SharedArrayBuffer(4));
  const data: LockerData = { pool: pool.handle, mutex: mutex.handle, words };
  const crew = await Crew.start([{ role: 'locker', data }]);
  let expected = 0;
  return {
    run(ops) {
      crew.begin(ops);
      lockAndCount(mutex, words, ops / 2);
      crew.finish();
      expected += ops;
      if (words[0] !== (expected | 0)) throw new Error(`counted ${words[0]}, not ${expected}`);
      return ops;
    },
    async close() {
      await crew.close();
      pool.detach();
    },
  };
}

async function prepareReaders(): Promise<PreparedCase> {
  const pool = createPool();
  const lock = RwLock.create(pool);
  const words = new Int32Array(new SharedArrayBuffer(4));
  const data: ReaderData = { pool: pool.handle, lock: lock.handle, words };
  const crew = await Crew.start([{ role: 'lockReader', data }]);
  return {
    run(ops) {
      crew.begin(ops);
      lockAndRead(lock, words, ops / 2);
      crew.finish();
      return ops;
    },
    async close() {
      await crew.close();
      pool.detach();
    },
  };
}

async function preparePingPong(): Promise<PreparedCase> {
  const pool = createPool();
  const there = Semaphore.create(pool, { permits: 0 });
  const back = Semaphore.create(pool, { permits: 0 });
  const data: PartnerData = { pool: pool.handle, there: there.handle, back: back.handle };
  const crew = await Crew.start([{ role: 'partner', data }]);
  return {
    run(ops) {
      crew.begin(ops);
      for (let i = 0; i < ops; i++) {
        there.release();
        if (back.acquireSync() !== 'acquired') throw new Error('not acquired');
      }
      crew.finish();
      return ops;
    },
    async close() {
      await crew.close();
      pool.detach();
    },
  };
}

async function prepareEvents(): Promise<PreparedCase> {
  const pool = createPool();
  const there = Event.create(pool, { reset: 'auto' });
  const back = Event.create(pool, { reset: 'auto' });
  const data: EventPartnerData = { pool: pool.handle, there: there.handle, back: back.handle };
  const crew = await Crew.start([{ role: 'event-partner', data }]);
  return {
    run(ops) {
      crew.begin(ops);
      for (let i = 0; i < ops; i++) {
        there.set();
        if (back.waitSync() !== 'set') throw new Error('not set');
      }
      crew.finish();
      return ops;
    },
    async close() {
      await crew.close();
      pool.detach();
    },
  };
}

function createPool(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 4 });
}
