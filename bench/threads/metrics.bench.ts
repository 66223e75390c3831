// SPDX-License-Identifier: MIT
/** What it costs the thread that works if another one exports its counters. */

import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { WordChannel } from 'busbar/channel';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import type { MetricsReaderData } from './metrics-reader.worker.ts';

const READER_PROGRAM = new URL('./threads/metrics-reader.worker.js', import.meta.url);

export const metricsCases: readonly BenchCase[] = [
  {
    id: 'metrics/hot-path',
    what: 'tryAcquire, trySend, tryReceive, release, while no one reads the counters',
    unit: 1000,
    threads: 2,
    prepare: () => prepareWork(false),
  },
  {
    id: 'metrics/exporter-on-hot-path',
    what: 'the same while another thread exports them, by HTTP, some 90 times a second',
    unit: 1000,
    threads: 2,
    prepare: () => prepareWork(true),
  },
];

async function prepareWork(reads: boolean): Promise<PreparedCase> {
  const pool = BufferPool.create({ bufferSize: 2048, bufferCount: 4096, maxThreads: 4 });
  const channel = WordChannel.create(pool, { kind: 'spsc', capacity: 1024 });
  const count = new Int32Array(new SharedArrayBuffer(4));
  const workerData: MetricsReaderData = {
    ...{ pool: pool.handle, channel: channel.handle, count, reads },
  };
  const worker = new Worker(READER_PROGRAM, { workerData });
  await once(worker, 'message');
  const [sender, receiver] = [channel.sender(), channel.receiver()];
  return {
    run(ops) {
      let sum = 0;
      for (let i = 0; i < ops; i++) {
        const id = pool.tryAcquire();
        if (!sender.trySend(id)) throw new Error('full');
        sum += receiver.tryReceive() ?? 0;
        pool.release(id);
      }
      return sum;
    },
    note: () => (reads ? `the counters were read ${Atomics.load(count, 0)} times` : ''),
    async close() {
      // A short run may end before the first reading.
      while (reads && Atomics.load(count, 0) === 0) await setTimeout(1);
      await worker.terminate();
      sender.close();
      receiver.close();
      pool.detach();
    },
  };
}
