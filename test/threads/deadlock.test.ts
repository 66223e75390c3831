// SPDX-License-Identifier: MIT
/** Deadlocks between real threads of a pool that tracks leaks: they are found, and nothing else. */
import { Worker } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { Mutex, Once, RwLock, Semaphore, type SyncHandle } from 'busbar/sync';
import { afterEach, expect, test } from 'vitest';
import { STORY_EDITION, storyAt } from '../../src/pool/deadlock-layout.ts';
import { until } from '../turns.ts';
import { type DeadlockResult, type DeadlockTask, READY, type Way } from './deadlock.worker.ts';
import { workerUrl } from './worker-crew.ts';

type Lock = { readonly handle: SyncHandle };

const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

function createPool(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 5, trackLeaks: true });
}

const createBoard = (): Int32Array => new Int32Array(new SharedArrayBuffer(4));

/** A thread that has `first` and then wants `second`. */
function start(
  pool: BufferPool,
  board: Int32Array,
  count: number,
  [first, second]: readonly [Lock, Lock],
  timeoutMs: number = Infinity,
  ways?: readonly [Way, Way],
): Promise<DeadlockResult> {
  const workerData: DeadlockTask = {
    pool: pool.handle,
    board,
    count,
    first: first.handle,
    second: second.handle,
    timeoutMs,
    ...(ways === undefined ? {} : { ways }),
  };
  const worker = new Worker(workerUrl('deadlock'), { workerData });
  workers.push(worker);
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

test('two threads that want each other’s lock: one gets the cycle and the stacks', async () => {
  const pool = createPool();
  const [a, b] = [Mutex.create(pool), Mutex.create(pool)];
  const board = createBoard();
  const ends = await Promise.all([start(pool, board, 2, [a, b]), start(pool, board, 2, [b, a])]);
  const [lower, higher] = ends.sort((one, other) => one.slot - other.slot);
  expect(higher.result).toBe('acquired');
  expect(lower.result).toBe('ERR_BUSBAR_DEADLOCK');
  const lines = (lower.message ?? '').split('\n').filter((line) => !/^\s+at /.test(line));
  const [mine, its] = lines[1].endsWith('mutex 1') ? [2, 1] : [1, 2];
  expect(lines.slice(1)).toEqual([
    `thread ${lower.slot} waits for mutex ${its}`,
    `  it holds mutex ${mine}, acquired`,
    `thread ${higher.slot} waits for mutex ${mine}`,
    `  it holds mutex ${its}, acquired`,
  ]);
  // Each of the four stacks leads to the program that asked.
  expect(lower.message?.match(/deadlock\.worker/g)?.length).toBeGreaterThanOrEqual(4);
});

test('a cycle of three', async () => {
  const pool = createPool();
  const [a, b, c] = [Mutex.create(pool), Mutex.create(pool), Mutex.create(pool)];
  const board = createBoard();
  const ends = await Promise.all([
    start(pool, board, 3, [a, b]),
    start(pool, board, 3, [b, c]),
    start(pool, board, 3, [c, a]),
  ]);
  ends.sort((one, other) => one.slot - other.slot);
  expect(ends.map(({ result }) => result)).toEqual(['ERR_BUSBAR_DEADLOCK', 'acquired', 'acquired']);
  expect(ends[0].message?.match(/^thread \d waits/gm)).toHaveLength(3);
});

/** All that has an owner, and the kinds of lock that a thread waits for. */
const OWNED = {
  mutex: (pool: BufferPool) => Mutex.create(pool),
  semaphore: (pool: BufferPool) => Semaphore.create(pool, { permits: 1, owned: true }),
  reader: (pool: BufferPool) => RwLock.create(pool),
  writer: (pool: BufferPool) => RwLock.create(pool),
  once: (pool: BufferPool) => Once.create(pool),
};
type Owned = keyof typeof OWNED;
const KINDS = Object.keys(OWNED) as Owned[];
const PAIRS = KINDS.flatMap((one, at) => KINDS.slice(at).map((other) => [one, other] as const));
/** The first thread to have it is a reader, and the other one waits to write. */
const FIRST: Record<string, Way> = { reader: 'read' };

test.each(PAIRS)('a %s and a %s: the cycle, and the stacks of all waits', async (one, other) => {
  const pool = createPool();
  const [a, b] = [OWNED[one](pool), OWNED[other](pool)];
  const board = createBoard();
  const [wayA, wayB] = [FIRST[one] ?? 'write', FIRST[other] ?? 'write'];
  const ends = await Promise.all([
    start(pool, board, 2, [a, b], Infinity, [wayA, 'write']),
    start(pool, board, 2, [b, a], Infinity, [wayB, 'write']),
  ]);
  const [lower, higher] = ends.sort((left, right) => left.slot - right.slot);
  expect([lower.result, higher.result]).toEqual(['ERR_BUSBAR_DEADLOCK', 'acquired']);
  expect(lower.message?.match(/^thread \d waits for \w+ [12]$/gm)).toHaveLength(2);
  expect(lower.message?.match(/^ {2}it holds \w+ [12], acquired$/gm)).toHaveLength(2);
  expect(lower.message?.match(/deadlock\.worker/g)?.length).toBeGreaterThanOrEqual(4);
});

/** Each kind comes before, and after, some other two. */
const TRIPLES: readonly (readonly [Owned, Owned, Owned])[] = [
  ['mutex', 'reader', 'semaphore'],
  ['writer', 'once', 'mutex'],
  ['reader', 'semaphore', 'once'],
];

test.each(TRIPLES)('a cycle of a %s, a %s and a %s', async (...kinds) => {
  const pool = createPool();
  const locks = kinds.map((kind) => OWNED[kind](pool));
  const board = createBoard();
  const ends = await Promise.all(
    kinds.map((kind, at) => {
      const pair = [locks[at], locks[(at + 1) % kinds.length]] as const;
      return start(pool, board, kinds.length, pair, Infinity, [FIRST[kind] ?? 'write', 'write']);
    }),
  );
  ends.sort((one, other) => one.slot - other.slot);
  expect(ends.map(({ result }) => result)).toEqual(['ERR_BUSBAR_DEADLOCK', 'acquired', 'acquired']);
  const [{ message }] = ends;
  expect(message?.match(/^thread \d waits for \w+ [123]$/gm)).toHaveLength(3);
  expect(message?.match(/^ {2}it holds \w+ [123], acquired$/gm)).toHaveLength(3);
  expect(message?.match(/deadlock\.worker/g)?.length).toBeGreaterThanOrEqual(6);
});

test('no alarm where a thread that does not wait holds a permit', async () => {
  const pool = createPool();
  const mutex = Mutex.create(pool);
  const permits = Semaphore.create(pool, { permits: 2, owned: true });
  expect(permits.tryAcquire()).toBe('acquired');
  const board = createBoard();
  const ends = [start(pool, board, 2, [mutex, permits]), start(pool, board, 2, [permits, mutex])];
  await editions(pool, 3);
  expect(permits.release()).toBe('released');
  expect((await Promise.all(ends)).map(({ result }) => result)).toEqual(['acquired', 'acquired']);
});

test('no alarm where a wait has a timeout', async () => {
  const pool = createPool();
  const [a, b] = [Mutex.create(pool), Mutex.create(pool)];
  const board = createBoard();
  // The second gives up after a few looks at who waits for whom, and the first gets its lock.
  const ends = await Promise.all([
    start(pool, board, 2, [a, b]),
    start(pool, board, 2, [b, a], 200),
  ]);
  expect(ends.map(({ result }) => result)).toEqual(['acquired', 'timeout']);
});

test('threads that wait by a promise: a warning, since other functions of them go on', async () => {
  const pool = createPool();
  const [a, b] = [Mutex.create(pool), Mutex.create(pool)];
  const board = createBoard();
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
  expect(await a.lock()).toBe('acquired');
  const end = start(pool, board, 1, [b, a]);
  await until(() => Atomics.load(board, READY) === 1);
  const locked = b.lock();
  const warning = await warned;
  expect(warning).toMatchObject({ name: 'BusbarDeadlock', code: 'BUSBAR_DEADLOCK' });
  expect(warning.message).toMatch(/^thread 0 waits for mutex 2$/m);
  expect(warning.message).toMatch(/^thread 1 waits for mutex 1$/m);
  expect(warning.message).toMatch(/deadlock\.test/);
  expect(warning.message).toMatch(/deadlock\.worker/);
  a.unlock();
  expect([await locked, (await end).result]).toEqual(['acquired', 'acquired']);
  b.unlock();
});

test('a pool that does not track leaks has no words for it', () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, trackLeaks: false });
  expect((pool as unknown as { deadlockWords: unknown }).deadlockWords).toBeUndefined();
});

/** Waits until two threads have looked that often at who waits for whom. */
async function editions(pool: BufferPool, times: number): Promise<void> {
  const { words, first } = (
    pool as unknown as { deadlockWords: { words: Int32Array; first: number } }
  ).deadlockWords;
  await until(() => {
    let looking = 0;
    for (let slot = 0; slot < pool.maxThreads; slot++) {
      if (Atomics.load(words, storyAt(first, slot) + STORY_EDITION) >= 2 * times) looking++;
    }
    return looking >= 2;
  });
}
