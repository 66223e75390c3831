// SPDX-License-Identifier: MIT
/**
 * A thread that asks for what a dead one has, on a stack that is full, at every depth: the error
 * leaves no seat in the middle of its repair, which others would wait for.
 */
import { expect, test } from 'vitest';
import { BufferPool } from '../../src/pool/index.ts';
import { Barrier, Mutex, Once, RwLock, Semaphore } from '../../src/sync/index.ts';
import { HOLDER, seatAt } from '../../src/sync/sync-layout.ts';

const MAX_THREADS = 4;
/** One of so many calls that find nothing looks for deaths. */
const LOOKS_EVERY = 8;

/** What a thread is to have, and how others ask for it. */
interface Kind<One> {
  create(pool: BufferPool): One & { readonly handle: object };
  attach(pool: BufferPool, handle: never): One;
  take(one: One): unknown;
  ask(one: One): unknown;
}

const kind = <One>(of: Kind<One>): Kind<unknown> => of as Kind<unknown>;
const KINDS: Readonly<Record<string, Kind<unknown>>> = {
  mutex: kind<Mutex>({
    create: (pool) => Mutex.create(pool),
    attach: (pool, handle) => Mutex.attach(pool, handle),
    take: (one) => one.tryLock(),
    ask: (one) => one.tryLock(),
  }),
  'owned semaphore': kind<Semaphore>({
    create: (pool) => Semaphore.create(pool, { permits: 1, owned: true }),
    attach: (pool, handle) => Semaphore.attach(pool, handle),
    take: (one) => one.tryAcquire(),
    ask: (one) => one.tryAcquire(),
  }),
  'read-write lock': kind<RwLock>({
    create: (pool) => RwLock.create(pool),
    attach: (pool, handle) => RwLock.attach(pool, handle),
    take: (one) => one.tryRead(),
    ask: (one) => one.tryWrite(),
  }),
  barrier: kind<Barrier>({
    create: (pool) => Barrier.create(pool),
    attach: (pool, handle) => Barrier.attach(pool, handle),
    take: (one) => one.join(),
    ask: (one) => one.tryWait(),
  }),
  once: kind<Once>({
    create: (pool) => Once.create(pool),
    attach: (pool, handle) => Once.attach(pool, handle),
    take: (one) => one.tryBegin(),
    ask: (one) => one.tryBegin(),
  }),
};

test.each(Object.entries(KINDS))('%s', (_, { create, attach, take, ask }) => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: MAX_THREADS });
  const other = BufferPool.attach(pool.handle);
  const one = create(pool);
  take(attach(other, one.handle as never));
  other.detach();
  const { words } = one as unknown as { readonly words: Int32Array };
  let [errors, marked] = [0, 0];
  const isMarked = (): boolean => {
    for (let seat = 0; seat < MAX_THREADS; seat++)
      if (words[seatAt(seat) + HOLDER] < 0) return true;
    return false;
  };
  /** Fills the stack, then asks at each depth on the way back until that succeeds. */
  const descend = (): boolean => {
    try {
      if (descend()) return true;
    } catch {
      // The stack is full.
    }
    try {
      for (let i = 0; i < LOOKS_EVERY; i++) ask(one);
      return true;
    } catch {
      errors++;
    }
    if (isMarked()) marked++;
    return false;
  };
  expect([descend(), errors > 0, marked, isMarked()]).toEqual([true, true, 0, false]);
});
