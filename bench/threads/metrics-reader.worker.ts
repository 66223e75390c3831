// SPDX-License-Identifier: MIT
/** A thread that exports what another one does, and reads it, as Prometheus would. */

import { parentPort, workerData } from 'node:worker_threads';
import { type ChannelHandle, WordChannel } from 'busbar/channel';
import { Exporter, Monitor } from 'busbar/metrics';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';

export interface MetricsReaderData {
  readonly pool: BufferPoolHandle;
  readonly channel: ChannelHandle;
  /** How often it has read. */
  readonly count: Int32Array;
  /** False: it sleeps all the time. */
  readonly reads: boolean;
}

const PERIOD_MS = 10;
const data = workerData as MetricsReaderData;
const pool = BufferPool.attach(data.pool);
const monitor = new Monitor({ program: 'bench' });
monitor.watch('buffers', pool);
monitor.watch('ids', WordChannel.attach(pool, data.channel));
const exporter = await Exporter.listen(monitor, { port: 0 });
const url = exporter.url.replace('/?', '/metrics?');
parentPort?.postMessage('ready');
for (;;) {
  await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
  if (!data.reads) continue;
  const text = await (await fetch(url)).text();
  if (!text.includes('ids')) throw new Error(`not what was exported: ${text}`);
  Atomics.add(data.count, 0, 1);
}
