// SPDX-License-Identifier: MIT
/**
 * `node build/bench/fairness.main.js [THREADS [SECONDS]]`: how often each wait for a mutex was
 * overtaken, for each order. Threads want it again and again; each looks, once it has the lock, how
 * many others had it since it asked.
 *
 * Threads that block look before they are in the queue, so one that the system stops in between
 * counts those who came meanwhile. Those that await look when they are in it: at a fair mutex each
 * of the others may then come first once, and no more often.
 */

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import { type LockOrder, Mutex, type MutexHandle } from 'busbar/sync';
import { readCount, runProgram } from './command-line.ts';

/** Waits that were overtaken 0 times, 1, 2 to 3, 4 to 7, and so on. */
const BUCKETS = 24;
const WIDTH = 50;
/** Words: how often the lock was taken, and whether to go on. */
const [TAKEN, GOES_ON] = [0, 1];

/** By blocking, or by a promise. */
const WAYS = ['blocking', 'awaiting'] as const;

interface Task {
  readonly way: (typeof WAYS)[number];
  readonly pool: BufferPoolHandle;
  readonly mutex: MutexHandle;
  readonly words: Int32Array;
}

/** Takes the lock until it is told to stop; says how its waits went. */
async function want({ pool: handle, mutex: mutexHandle, words, way }: Task): Promise<void> {
  const pool = BufferPool.attach(handle);
  const mutex = Mutex.attach(pool, mutexHandle);
  const counts: number[] = Array(BUCKETS).fill(0);
  while (Atomics.load(words, GOES_ON) === 1) {
    let overtaken = 0;
    if (mutex.tryLock() !== 'acquired') {
      const locking = way === 'awaiting' ? mutex.lock() : undefined;
      const asked = Atomics.load(words, TAKEN);
      const result = locking === undefined ? mutex.lockSync() : await locking;
      if (result !== 'acquired') throw new Error(result);
      overtaken = words[TAKEN] - asked;
    }
    Atomics.store(words, TAKEN, words[TAKEN] + 1);
    mutex.unlock();
    counts[overtaken === 0 ? 0 : 32 - Math.clz32(overtaken)]++;
  }
  pool.detach();
  parentPort?.postMessage(counts);
}

async function countsOf(
  order: LockOrder,
  way: Task['way'],
  threads: number,
  seconds: number,
): Promise<number[]> {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: threads + 1 });
  const mutex = Mutex.create(pool, { order });
  const words = new Int32Array(new SharedArrayBuffer(8));
  words[GOES_ON] = 1;
  const workerData: Task = { way, pool: pool.handle, mutex: mutex.handle, words };
  const ends = Array.from({ length: threads }, () => {
    const worker = new Worker(new URL(import.meta.url), { workerData });
    return new Promise<number[]>((resolve, reject) => {
      worker.once('message', resolve).once('error', reject);
    });
  });
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  Atomics.store(words, GOES_ON, 0);
  const all = await Promise.all(ends);
  pool.detach();
  return all.reduce((sums, counts) => sums.map((sum, at) => sum + counts[at]));
}

/** A line for each bucket up to the last one that is not empty; the bars are logarithmic. */
function drawn(counts: readonly number[]): string {
  const last = counts.findLastIndex((count) => count > 0);
  const most = Math.log2(Math.max(...counts) + 1);
  return counts
    .slice(0, last + 1)
    .map((count, at) => {
      const range = at < 2 ? `${at}` : `${2 ** (at - 1)}–${2 ** at - 1}`;
      const bar = '#'.repeat(Math.round((WIDTH * Math.log2(count + 1)) / most));
      return `${range.padStart(17)}  ${String(count).padStart(9)}  ${bar}`;
    })
    .join('\n');
}

if (isMainThread) {
  await runProgram(async () => {
    const [threads, seconds] = [process.argv[2] ?? '3', process.argv[3] ?? '2'];
    const [count, time] = [readCount('THREADS', threads), readCount('SECONDS', seconds)];
    for (const way of WAYS) {
      for (const order of ['barging', 'lifo', 'fair'] as const) {
        const counts = await countsOf(order, way, count, time);
        process.stdout.write(`${order}, ${way}: overtaken, waits\n${drawn(counts)}\n\n`);
      }
    }
  });
} else await want(workerData as Task);
