// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { pauseAt } from '../../test/accesses.ts';
import { die } from '../../test/simulated-death.ts';
import { BufferPool } from '../pool/index.ts';
import { Mutex, SeqLock } from './index.ts';
import { SEQUENCE } from './seq-lock-layout.ts';

const createPool = () => BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 3 });

test('readers get what was written last, whole', async () => {
  const pool = createPool();
  const lock = SeqLock.create(pool, { words: 3 });
  const other = SeqLock.attach(BufferPool.attach(pool.handle), structuredClone(lock.handle));
  const seen = new Int32Array(4).fill(-1);
  expect(other.tryRead(seen)).toBe('read');
  expect(Array.from(seen)).toEqual([0, 0, 0, -1]);
  expect(lock.tryWrite(Int32Array.of(1, 2, 3))).toBe('written');
  expect(other.readSync(seen)).toBe('read');
  expect(Array.from(seen)).toEqual([1, 2, 3, -1]);
  expect(other.writeSync(Int32Array.of(4, 5, 6))).toBe('written');
  const values = Int32Array.of(7, 8, 9, 10);
  const writing = lock.write(values);
  values.fill(0);
  expect(await writing).toBe('written');
  expect(lock.tryRead(seen)).toBe('read');
  expect(Array.from(seen)).toEqual([7, 8, 9, -1]);
  expect([lock.count, other.count, lock.length]).toEqual([3, 3, 3]);
});

test('after a death amid a write readers keep the last snapshot, and a writer repairs', () => {
  const pool = createPool();
  const lock = SeqLock.create(pool, { words: 2 });
  const doomed = BufferPool.attach(pool.handle);
  const dead = SeqLock.attach(doomed, lock.handle);
  dead.tryWrite(Int32Array.of(1, 1));
  expect(lock.isAbandoned).toBe(false);
  // As if it had ended after its first word.
  const { writers, data } = lock.handle;
  const words = new Int32Array(data);
  (dead as unknown as { tryWrite(values: Int32Array): string }).tryWrite(Int32Array.of(2, 2));
  Atomics.store(words, SEQUENCE, 3);
  new Int32Array(writers.control)[32] = (doomed as unknown as { badge: number }).badge;
  die(doomed);
  const seen = new Int32Array(2);
  expect(lock.tryRead(seen)).toBe('read');
  expect(Array.from(seen)).toEqual([1, 1]);
  expect(lock.isAbandoned).toBe(true);
  expect(lock.writeSync(Int32Array.of(3, 3))).toBe('written');
  expect(lock.isAbandoned).toBe(false);
  expect(lock.tryRead(seen)).toBe('read');
  expect(Array.from(seen)).toEqual([3, 3]);
  expect(lock.count).toBe(2);
});

test('a writer that ends as one looks at it has not abandoned it', () => {
  const pool = createPool();
  const lock = SeqLock.create(pool, { words: 1 });
  const other = SeqLock.attach(BufferPool.attach(pool.handle), lock.handle);
  const writer = Mutex.attach(pool, lock.handle.writers);
  const words = new Int32Array(lock.handle.data);
  const seen: boolean[] = [];
  const ends = (): void => {
    words[SEQUENCE]++;
    writer.unlock();
  };
  for (let k = 1; k <= 3; k++) {
    writer.tryLock();
    words[SEQUENCE]++;
    const hasPaused = pauseAt(k, ends, () => seen.push(other.isAbandoned));
    expect(hasPaused).toBe(true);
  }
  expect(seen).toEqual([false, false, false]);
});

test('a reader that stands still for 2³⁰ writes, or nearly 2³¹, reads again', () => {
  const lock = SeqLock.create(createPool(), { words: 2 });
  const words = new Int32Array(lock.handle.data);
  const seen = new Int32Array(2);
  for (const writes of [2, 3, 2 ** 30 - 1, 2 ** 30, 2 ** 31 - 1]) {
    words.fill(1, SEQUENCE);
    words[SEQUENCE] = -2;
    const jump = (): void => {
      words.fill(9, SEQUENCE);
      words[SEQUENCE] = 2 * writes - 2;
    };
    // Between its two words.
    pauseAt(3, jump, () => expect(lock.tryRead(seen)).toBe('read'));
    expect(seen[0]).toBe(seen[1]);
  }
});

test('a thread that leaves the pool with the lock, before it writes, writes nothing', async () => {
  const pool = createPool();
  const lock = SeqLock.create(pool, { words: 1 });
  const leaving = BufferPool.attach(pool.handle);
  const other = SeqLock.attach(leaving, lock.handle);
  const writer = Mutex.attach(pool, lock.handle.writers);
  writer.tryLock();
  const first = other.write(Int32Array.of(1)).then(() => leaving.detach());
  const second = other.write(Int32Array.of(2));
  writer.unlock();
  await first;
  await expect(second).rejects.toMatchObject({ code: 'ERR_BUSBAR_DETACHED' });
  const seen = new Int32Array(1);
  expect([lock.tryRead(seen), seen[0], lock.isAbandoned]).toEqual(['read', 1, false]);
  expect(lock.writeSync(Int32Array.of(3), 60_000)).toBe('written');
});

test('misuse', () => {
  const pool = createPool();
  expect(() => SeqLock.create(pool, { words: 0 })).toThrow(/^words must be/);
  const lock = SeqLock.create(pool, { words: 2 });
  expect(() => lock.tryRead(new Int32Array(1))).toThrow(/target must have at least 2 words, got 1/);
  expect(() => lock.tryWrite([1, 2] as never)).toThrow(/values must be an Int32Array/);
  // Neither a proxy nor a subclass runs code of its own while a snapshot is half written.
  const proxy = new Proxy(new Int32Array(2), { get: (words, key) => words[key as never] });
  expect(() => lock.tryWrite(proxy)).toThrow(/values must be an Int32Array/);
  class Long extends Int32Array {
    override get length(): number {
      return 2;
    }
  }
  expect(() => lock.tryWrite(new Long(1))).toThrow(/at least 2 words, got 1/);
  expect([lock.count, lock.isAbandoned]).toEqual([0, false]);
  expect(() => SeqLock.attach(pool, { ...lock.handle, version: 9 })).toThrow(/seqlock/);
  expect(() => SeqLock.attach(createPool(), lock.handle)).toThrow(/another pool/);
});
