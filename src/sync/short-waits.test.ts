// SPDX-License-Identifier: MIT
/** Waits that are over before their first tick: one after another, they learn of a death, too. */
import { expect, test } from 'vitest';
import { die } from '../../test/simulated-death.ts';
import { BufferPool } from '../pool/index.ts';
import { Countdown, Gate, Mutex, Once, RwLock, Semaphore } from './index.ts';

const LIMIT_MS = 1;
/** So many that the least time between two questions, 40 ms, passes. */
const WAITS = 1000;

/** How a caller of each primitive waits, and how the other thread keeps it waiting. */
const KINDS = {
  mutex(pool: BufferPool, other: BufferPool) {
    const one = Mutex.create(pool);
    Mutex.attach(other, one.handle).tryLock();
    return [() => one.lockSync(LIMIT_MS), limits(one.lock.bind(one))] as const;
  },
  'fair mutex'(pool: BufferPool, other: BufferPool) {
    const one = Mutex.create(pool, { order: 'fair' });
    Mutex.attach(other, one.handle).tryLock();
    return [() => one.lockSync(LIMIT_MS), limits(one.lock.bind(one))] as const;
  },
  writer(pool: BufferPool, other: BufferPool) {
    const one = RwLock.create(pool);
    RwLock.attach(other, one.handle).tryRead();
    return [() => one.writeSync(LIMIT_MS), limits(one.write.bind(one))] as const;
  },
  reader(pool: BufferPool, other: BufferPool) {
    const one = RwLock.create(pool);
    RwLock.attach(other, one.handle).tryWrite();
    return [() => one.readSync(LIMIT_MS), limits(one.read.bind(one))] as const;
  },
  semaphore(pool: BufferPool, other: BufferPool) {
    const one = Semaphore.create(pool, { permits: 2, owned: true });
    Semaphore.attach(other, one.handle).tryAcquire(2);
    const acquire = limits((options) => one.acquire(1, options));
    return [() => one.acquireSync(1, LIMIT_MS), acquire] as const;
  },
  once(pool: BufferPool, other: BufferPool) {
    const one = Once.create(pool);
    Once.attach(other, one.handle).tryBegin();
    return [() => one.beginSync(LIMIT_MS), limits(one.begin.bind(one))] as const;
  },
  countdown(pool: BufferPool, other: BufferPool) {
    const one = Countdown.create(pool, 1);
    Countdown.attach(other, one.handle).arrive();
    return [() => one.waitSync(LIMIT_MS), limits(one.wait.bind(one))] as const;
  },
  gate(pool: BufferPool, other: BufferPool) {
    const one = Gate.create(pool);
    one.open();
    const decider = Gate.attach(other, one.handle);
    decider.tryDecide(() => {
      die(other);
      // What the thread did after its death never reaches the others.
      (decider as unknown as { swap(): boolean }).swap = () => true;
      return true;
    });
    return [() => one.enterSync(LIMIT_MS), limits(one.enter.bind(one))] as const;
  },
} as const;

/** A wait that a time-out ends, and one that a signal ends. */
function limits(
  wait: (options: { timeoutMs?: number; signal?: AbortSignal }) => Promise<string>,
): (i: number) => Promise<string> {
  return (i) =>
    wait(i % 2 === 0 ? { timeoutMs: LIMIT_MS } : { signal: AbortSignal.timeout(LIMIT_MS) });
}

test.each(Object.keys(KINDS) as (keyof typeof KINDS)[])(
  '%s: short waits end when the other thread has died',
  async (kind) => {
    for (const way of [0, 1] as const) {
      const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
      const other = BufferPool.attach(pool.handle);
      const wait = KINDS[kind](pool, other)[way];
      if (kind !== 'gate') die(other);
      let result = '';
      for (let i = 0; i < WAITS && ['', 'timeout', 'aborted'].includes(result); i++) {
        result = await wait(i);
      }
      expect(result).toMatch(/^(acquired|begun|failed|entered)$/);
    }
  },
);
