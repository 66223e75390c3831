// SPDX-License-Identifier: MIT
/**
 * Defects of the primitives of rsm, in Rust, that depend on the moment: another thread comes before
 * each access in turn. The others have tests named 'rsm …' beside the primitives.
 *
 *   rsm                                                  here
 *   Lock: FIFO, and yet overtaken by newcomers           sync-fairness.test.ts, order 'fair'
 *   Lock, all: no try, no time-out, no owner, a thread   "waits that end early …", "only the thread
 *   that dies keeps it                                   that has …", sync-accesses.test.ts
 *   RWLock: readers starve a writer; no downgrade        rw-lock.test.ts
 *   Gate: close() of a closed one blocks; 2 open at once gate.test.ts; here
 *   Once: a panic, a re-entrant run; a lock each time    once.test.ts; cost.test.ts
 *   Countdown: no thread can wait for it                 counted.test.ts
 *   Semaphore: a cap that is none; a wait that begins    here
 *   as it is disabled never ends; disabled looks like a
 *   permit; the last to wait is the first to get one
 *   Event: extra wakes                                   here
 */
import { expect, test } from 'vitest';
import { BufferPool } from '../../src/pool/index.ts';
import { Event, Gate, Semaphore } from '../../src/sync/index.ts';
import { SPINS } from '../../src/sync/primitive.ts';
import { pauseAt } from '../accesses.ts';

const ACCESSES_MAX = 300;

function three(): BufferPool[] {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
  return [pool, BufferPool.attach(pool.handle), BufferPool.attach(pool.handle)];
}

/** Calls `act` with each number of accesses after which the other thread comes. */
async function atEach(act: (k: number) => boolean | Promise<boolean>): Promise<void> {
  let k = 1;
  for (; await act(k); k++) expect(k).toBeLessThan(ACCESSES_MAX);
  expect(k).toBeGreaterThan(2);
}

test('rsm Semaphore: the cap is one, however many release at once', async () => {
  await atEach((k) => {
    const pools = three();
    const a = Semaphore.create(pools[0], { permits: 0, max: 1 });
    const b = Semaphore.attach(pools[1], a.handle);
    const results: string[] = [];
    const other = () => results.push(b.release());
    const isPaused = pauseAt(k, other, () => results.push(a.release()));
    if (isPaused) expect([a.permits, ...results.sort()]).toEqual([1, 'full', 'released']);
    return isPaused;
  });
});

test.each(['acquire', 'acquireSync'] as const)(
  'rsm Semaphore: %s that begins as it is disabled ends, and says why',
  async (way) => {
    await atEach(async (k) => {
      const pools = three();
      const a = Semaphore.create(pools[0], { permits: 0 });
      const b = Semaphore.attach(pools[1], a.handle);
      let waiting: unknown;
      const wait = () => {
        waiting = way === 'acquire' ? a.acquire() : a.acquireSync();
      };
      const isPaused = pauseAt(k, () => b.disable(), wait);
      if (!isPaused) b.disable();
      expect([k, await waiting]).toEqual([k, 'disabled']);
      // A thread that blocks makes accesses at each tick, for ever.
      return isPaused && (way === 'acquire' || k < SPINS + 40);
    });
  },
);

test('rsm Semaphore: the first to wait is the first to get a permit', async () => {
  const pools = three();
  const a = Semaphore.create(pools[0], { permits: 0, max: 3 });
  const served: number[] = [];
  const others = [1, 2].map((at) => Semaphore.attach(pools[at], a.handle));
  const waits = [others[0], others[1], others[0]].map(async (semaphore, nth) => {
    expect(await semaphore.acquire()).toBe('acquired');
    served.push(nth);
  });
  a.release(3);
  await Promise.all(waits);
  expect(served[0]).toBe(0);
  expect([...served].sort()).toEqual([0, 1, 2]);
});

test('rsm Event: a set that comes as another sets lets no second one through', async () => {
  await atEach((k) => {
    const pools = three();
    const a = Event.create(pools[0], { reset: 'auto' });
    const b = Event.attach(pools[1], a.handle);
    const results: string[] = [];
    const other = () => results.push(b.set());
    const isPaused = pauseAt(k, other, () => results.push(a.set()));
    const seen = [a.tryWait(), b.tryWait(), ...results.sort()];
    if (isPaused) expect(seen).toEqual(['set', 'unset', 'already', 'set']);
    return isPaused;
  });
});

test('rsm Gate: two that open at once let one batch through', async () => {
  await atEach((k) => {
    const pools = three();
    const a = Gate.create(pools[0], { batch: 1 });
    const b = Gate.attach(pools[1], a.handle);
    const results: string[] = [];
    const other = () => results.push(b.open());
    const isPaused = pauseAt(k, other, () => results.push(a.open()));
    const seen = [a.tryEnter(), b.tryEnter(), ...results.sort()];
    if (isPaused) expect(seen).toEqual(['entered', 'closed', 'already', 'opened']);
    return isPaused;
  });
});
