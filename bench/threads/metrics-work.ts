// SPDX-License-Identifier: MIT
/**
 * A loop through a pool and a channel, while another thread reads their counters, or does the same
 * work on the counters of others: the difference is what the reading of shared words costs.
 */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ChannelHandle, WordChannel } from 'busbar/channel';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';

const READER_PROGRAM = new URL('./threads/metrics-reader.worker.js', import.meta.url);

/**
 * What the other thread does: it sleeps; it is scraped by HTTP some 90 times a second, as by
 * Prometheus; it takes snapshots without a pause. 'Elsewhere': of a pool and a channel that no
 * thread uses.
 */
export const READINGS = [
  'none',
  'scrapes elsewhere',
  'scrapes',
  'snapshots elsewhere',
  'snapshots',
] as const;
export type Reading = (typeof READINGS)[number];

/** Words of `control`: the index of the reading, and how often was read. */
export const READING = 0;
export const COUNT = 1;

export interface ReadHandles {
  readonly pool: BufferPoolHandle;
  readonly channel: ChannelHandle;
}

export interface MetricsReaderData {
  readonly used: ReadHandles;
  readonly unused: ReadHandles;
  readonly control: Int32Array;
}

export interface MetricsWork {
  /** tryAcquire, trySend, tryReceive, release. */
  run(ops: number): number;
  /** The other thread begins so within some 10 ms. */
  read(reading: Reading): void;
  /** How often it has read since `read` was called. */
  count(): number;
  close(): Promise<void>;
}

export async function startMetricsWork(): Promise<MetricsWork> {
  const [used, unused] = [objects(), objects()];
  const control = new Int32Array(new SharedArrayBuffer(8));
  const workerData: MetricsReaderData = {
    used: handlesOf(used),
    unused: handlesOf(unused),
    control,
  };
  const worker = new Worker(READER_PROGRAM, { workerData });
  await once(worker, 'message');
  const { pool, channel } = used;
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
    read(reading) {
      Atomics.store(control, READING, READINGS.indexOf(reading));
      Atomics.store(control, COUNT, 0);
    },
    count: () => Atomics.load(control, COUNT),
    async close() {
      await worker.terminate();
      sender.close();
      receiver.close();
      pool.detach();
      unused.pool.detach();
    },
  };
}

interface Objects {
  readonly pool: BufferPool;
  readonly channel: WordChannel;
}

function objects(): Objects {
  const pool = BufferPool.create({ bufferSize: 2048, bufferCount: 4096, maxThreads: 4 });
  return { pool, channel: WordChannel.create(pool, { kind: 'spsc', capacity: 1024 }) };
}

function handlesOf({ pool, channel }: Objects): ReadHandles {
  return { pool: pool.handle, channel: channel.handle };
}
