// SPDX-License-Identifier: MIT
/** Callers that never wait, but ask again and again, learn of a death, too. */
import { expect, test } from 'vitest';
import { die } from '../../test/simulated-death.ts';
import { BufferPool } from '../pool/index.ts';
import {
  Barrier,
  Countdown,
  Gate,
  Mutex,
  Once,
  RwLock,
  Semaphore,
  SeqLock,
  WaitGroup,
} from './index.ts';

/** So many that the least time between two questions, 40 ms, passes. */
const ATTEMPTS = 10_000_000;

/** What keeps this thread out, how it asks, and what it gets once the other thread has died. */
type Make = (pool: BufferPool, other: BufferPool) => readonly [() => string, string];

const KINDS: Readonly<Record<string, Make>> = {
  'a mutex, held': (pool, other) => {
    const one = Mutex.create(pool);
    Mutex.attach(other, one.handle).tryLock();
    return [() => one.tryLock(), 'acquired'];
  },
  'a fair mutex, held': (pool, other) => {
    const one = Mutex.create(pool, { order: 'fair' });
    Mutex.attach(other, one.handle).tryLock();
    return [() => one.tryLock(), 'acquired'];
  },
  'a fair mutex, waited for': (pool, other) => {
    const one = Mutex.create(pool, { order: 'fair' });
    one.tryLock();
    Mutex.attach(other, one.handle).lock();
    one.unlock();
    return [() => one.tryLock(), 'acquired'];
  },
  'a fair mutex, held and waited for': (pool, other) => {
    const one = Mutex.create(pool, { order: 'fair' });
    const holder = Mutex.attach(other, one.handle);
    holder.tryLock();
    holder.lock();
    return [() => one.tryLock(), 'acquired'];
  },
  'a lock, read': (pool, other) => {
    const one = RwLock.create(pool);
    RwLock.attach(other, one.handle).tryRead();
    return [() => one.tryWrite(), 'acquired'];
  },
  'a lock, written': (pool, other) => {
    const one = RwLock.create(pool);
    RwLock.attach(other, one.handle).tryWrite();
    return [() => one.tryRead(), 'acquired'];
  },
  'a lock, a writer waits': (pool, other) => {
    const one = RwLock.create(pool);
    one.tryRead();
    RwLock.attach(other, one.handle).write();
    return [() => one.tryRead(), 'acquired'];
  },
  'a lock, a reader waits': (pool, other) => {
    const one = RwLock.create(pool);
    one.tryWrite();
    RwLock.attach(other, one.handle).read();
    one.unlockWrite();
    return [() => one.tryRead(), 'acquired'];
  },
  'owned permits': (pool, other) => {
    const one = Semaphore.create(pool, { permits: 2, owned: true });
    Semaphore.attach(other, one.handle).tryAcquire();
    return [() => one.tryAcquire(2), 'acquired'];
  },
  'permits, waited for': (pool, other) => {
    const one = Semaphore.create(pool, { permits: 1 });
    one.tryAcquire();
    Semaphore.attach(other, one.handle).acquire();
    one.release();
    return [() => one.tryAcquire(), 'acquired'];
  },
  'a once, tryBegin': (pool, other) => {
    const one = Once.create(pool);
    Once.attach(other, one.handle).tryBegin();
    return [() => one.tryBegin(), 'begun'];
  },
  'a once, tryRun': (pool, other) => {
    const one = Once.create(pool);
    Once.attach(other, one.handle).tryBegin();
    return [() => one.tryRun(() => 1), 'done'];
  },
  'a countdown': (pool, other) => {
    const one = Countdown.create(pool, 1);
    Countdown.attach(other, one.handle).arrive();
    return [() => one.tryWait(), 'failed'];
  },
  'a wait group': (pool, other) => {
    const one = WaitGroup.create(pool);
    WaitGroup.attach(other, one.handle).join();
    return [() => one.tryWait(), 'done'];
  },
  'a barrier': (pool, other) => {
    const one = Barrier.create(pool);
    Barrier.attach(other, one.handle).join();
    one.done();
    return [() => one.tryWait(), 'done'];
  },
  'a seqlock': (pool, other) => {
    const one = SeqLock.create(pool, { words: 1 });
    Mutex.attach(other, one.handle.writers).tryLock();
    return [() => one.tryWrite(Int32Array.of(1)), 'written'];
  },
  'a gate, tryEnter': (pool, other) => [deciding(pool, other, 'tryEnter'), 'entered'],
  'a gate, tryDecide': (pool, other) => [deciding(pool, other, 'tryDecide'), 'entered'],
};

/** A gate in which the other thread dies while it decides. */
function deciding(pool: BufferPool, other: BufferPool, way: 'tryEnter' | 'tryDecide') {
  const one = Gate.create(pool);
  one.open();
  const decider = Gate.attach(other, one.handle);
  decider.tryDecide(() => {
    // What the thread does after its death never reaches the others.
    (decider as unknown as { swap(): boolean }).swap = () => true;
    return true;
  });
  return (): string => (way === 'tryEnter' ? one.tryEnter() : one.tryDecide(() => true));
}

test.each(Object.entries(KINDS))('%s: who only asks learns that the other has died', (_, make) => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
  const other = BufferPool.attach(pool.handle);
  const [ask, end] = make(pool, other);
  // While it lives, it is not taken for dead.
  for (let i = 0; i < 100; i++) expect(ask()).toBe('busy');
  die(other);
  let result = 'busy';
  for (let i = 0; i < ATTEMPTS && result === 'busy'; i++) result = ask();
  expect(result).toBe(end);
});
