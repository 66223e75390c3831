// SPDX-License-Identifier: MIT
/** rsm's workload: some threads take one lock 1000 times each; and how often each gets it. */

import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import { type LockOrder, Mutex, type MutexHandle } from 'busbar/sync';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { NOTHING } from './control.ts';
import { Crew } from './crew.ts';
import type { Role } from './role.ts';

/** Each thread takes the lock so often in a turn of the original. */
const PER_THREAD = 1000;
/** What rsm's own benchmark, in Rust, took per lock on a 2-core x86-64 VM, with its LIFO lock. */
const RSM_NS: Readonly<Record<number, { readonly plain: number; readonly yields: number }>> = {
  1: { plain: 57, yields: 575 },
  2: { plain: 49, yields: 785 },
  4: { plain: 44, yields: 4500 },
};
/** A sleep that gives the core away: JavaScript has no yield. */
const YIELD_MS = 0.001;

// Words that only the holder of the lock writes.
const COUNT = 0;
const LAST = 1;
const RUN = 2;
/** Runs of 1, of 2 or 3, of 4 to 7, …: 16 words. */
const RUNS = 4;
const RUN_BINS = 16;
const WORDS = RUNS + RUN_BINS;

export interface RsmData {
  readonly pool: BufferPoolHandle;
  readonly mutex: MutexHandle;
  readonly words: Int32Array;
  readonly member: number;
  readonly threads: number;
  readonly way: Way;
}

/** What is done while the lock is held. */
type Way = 'plain' | 'yields' | 'notes';

export const rsmCases: readonly BenchCase[] = [
  ...[1, 2, 4].flatMap((threads) => [
    rsmCase(threads, 'plain', `sync/rsm-${threads}t`),
    rsmCase(threads, 'yields', `sync/rsm-${threads}t-yield`),
  ]),
  fairnessCase('barging'),
  fairnessCase('lifo'),
  fairnessCase('fair'),
];

function rsmCase(threads: number, way: 'plain' | 'yields', id: string): BenchCase {
  const section = way === 'plain' ? '' : `, a sleep of ${YIELD_MS} ms`;
  return {
    id,
    what: `lockSync${section}, unlock, ${PER_THREAD} times by each of ${threads}; per lock`,
    unit: PER_THREAD * threads,
    threads,
    async prepare() {
      const prepared = await prepareThreads(threads, way, 'lifo');
      const rustNs = RSM_NS[threads][way];
      return { ...prepared, note: () => `rsm (Rust, elsewhere): ${rustNs} ns` };
    },
  };
}

function fairnessCase(order: LockOrder): BenchCase {
  return {
    id: `sync/fairness-${order}`,
    what: 'lockSync, notes who has it, unlock, by each of 4 threads; per lock',
    unit: 4 * PER_THREAD,
    threads: 4,
    prepare: () => prepareThreads(4, 'notes', order),
  };
}

async function prepareThreads(threads: number, way: Way, order: LockOrder): Promise<PreparedCase> {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 4 });
  const mutex = Mutex.create(pool, { order });
  const words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
  const dataOf = (member: number): RsmData => ({
    pool: pool.handle,
    mutex: mutex.handle,
    words,
    member,
    threads,
    way,
  });
  const others = Array.from({ length: threads - 1 }, (_, i) => dataOf(i + 2));
  const crew = await Crew.start(others.map((data) => ({ role: 'rsm', data })));
  let expected = 0;
  return {
    run(ops) {
      crew.begin(ops);
      use(mutex, dataOf(1), ops);
      crew.finish();
      expected += ops;
      if (words[COUNT] !== (expected | 0)) throw new Error(`${words[COUNT]}, not ${expected}`);
      return ops;
    },
    note: () => (way === 'notes' ? histogramOf(words) : ''),
    async close() {
      await crew.close();
      pool.detach();
    },
  };
}

/** One of the other threads. */
export function createRsmThread(data: RsmData): Role {
  const pool = BufferPool.attach(data.pool);
  const mutex = Mutex.attach(pool, data.mutex);
  return {
    run(ops) {
      use(mutex, data, ops);
      return NOTHING;
    },
    close: () => pool.detach(),
  };
}

function use(mutex: Mutex, { words, member, threads, way }: RsmData, ops: number): void {
  for (let i = 0; i < ops / threads; i++) {
    if (mutex.lockSync() !== 'acquired') throw new Error('not acquired');
    words[COUNT]++;
    if (way === 'yields') Atomics.wait(words, LAST, 0, YIELD_MS);
    else if (way === 'notes') noteHolder(words, member);
    mutex.unlock();
  }
}

function noteHolder(words: Int32Array, member: number): void {
  if (words[LAST] === member) {
    words[RUN]++;
    return;
  }
  if (words[RUN] > 0) words[RUNS + Math.min(31 - Math.clz32(words[RUN]), RUN_BINS - 1)]++;
  words[LAST] = member;
  words[RUN] = 1;
}

/** How often a thread got the lock this many times in a row. */
function histogramOf(words: Int32Array): string {
  const bins = Array.from(words.subarray(RUNS));
  const total = bins.reduce((sum, count) => sum + count, 0);
  const parts = bins.map((count, i) => {
    const from = 2 ** i;
    const name = i === 0 ? '1' : i === RUN_BINS - 1 ? `${from}…` : `${from}–${2 * from - 1}`;
    return count === 0 ? '' : `${name}: ${((100 * count) / total).toFixed(1)} %`;
  });
  return `times in a row — ${parts.filter((part) => part !== '').join(', ')} of ${total} runs`;
}
