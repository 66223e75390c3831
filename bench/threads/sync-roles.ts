// SPDX-License-Identifier: MIT
/** The other threads of the cases about locks and permits. */

import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import {
  Event,
  type EventHandle,
  Mutex,
  type MutexHandle,
  RwLock,
  type RwLockHandle,
  Semaphore,
  type SemaphoreHandle,
} from 'busbar/sync';
import { NOTHING } from './control.ts';
import type { Role } from './role.ts';

export interface LockerData {
  readonly pool: BufferPoolHandle;
  readonly mutex: MutexHandle;
  /** One word, which holders of the lock count up. */
  readonly words: Int32Array;
}

export interface ReaderData {
  readonly pool: BufferPoolHandle;
  readonly lock: RwLockHandle;
  readonly words: Int32Array;
}

export interface PartnerData {
  readonly pool: BufferPoolHandle;
  readonly there: SemaphoreHandle;
  readonly back: SemaphoreHandle;
}

export interface EventPartnerData {
  readonly pool: BufferPoolHandle;
  readonly there: EventHandle;
  readonly back: EventHandle;
}

/** Counts up under the lock. */
export function lockAndCount(mutex: Mutex, words: Int32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    if (mutex.lockSync() !== 'acquired') throw new Error('not acquired');
    words[0]++;
    mutex.unlock();
  }
}

/** A thread that takes the lock `ops / 2` times a turn. */
export function createLocker(data: LockerData): Role {
  const pool = BufferPool.attach(data.pool);
  const mutex = Mutex.attach(pool, data.mutex);
  return {
    run(ops) {
      lockAndCount(mutex, data.words, ops / 2);
      return NOTHING;
    },
    close: () => pool.detach(),
  };
}

/** Reads a word under the lock. */
export function lockAndRead(lock: RwLock, words: Int32Array, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    if (lock.readSync() !== 'acquired') throw new Error('not acquired');
    sum += words[0];
    lock.unlockRead();
  }
  return sum;
}

/** A thread that reads under the lock `ops / 2` times a turn. */
export function createLockReader(data: ReaderData): Role {
  const pool = BufferPool.attach(data.pool);
  const lock = RwLock.attach(pool, data.lock);
  return {
    run(ops) {
      lockAndRead(lock, data.words, ops / 2);
      return NOTHING;
    },
    close: () => pool.detach(),
  };
}

/** A thread that gives a permit back for each that it gets. */
export function createPartner(data: PartnerData): Role {
  const pool = BufferPool.attach(data.pool);
  const there = Semaphore.attach(pool, data.there);
  const back = Semaphore.attach(pool, data.back);
  return {
    run(ops) {
      for (let i = 0; i < ops; i++) {
        there.acquireSync();
        back.release();
      }
      return NOTHING;
    },
    close: () => pool.detach(),
  };
}

/** A thread that sets an event for each time that it is let through by another. */
export function createEventPartner(data: EventPartnerData): Role {
  const pool = BufferPool.attach(data.pool);
  const there = Event.attach(pool, data.there);
  const back = Event.attach(pool, data.back);
  return {
    run(ops) {
      for (let i = 0; i < ops; i++) {
        there.waitSync();
        back.set();
      }
      return NOTHING;
    },
    close: () => pool.detach(),
  };
}
