// SPDX-License-Identifier: MIT
/** A thread that exports what another one does, and reads it: metrics-work.ts. */

import { setImmediate, setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { WordChannel } from 'busbar/channel';
import { Exporter, Monitor } from 'busbar/metrics';
import { BufferPool } from 'busbar/pool';
import {
  COUNT,
  type MetricsReaderData,
  READING,
  READINGS,
  type ReadHandles,
} from './metrics-work.ts';

const PERIOD_MS = 10;
/** Snapshots between two looks at what to do. */
const SNAPSHOTS = 100;

const { used, unused, control } = workerData as MetricsReaderData;

function monitorOf(handles: ReadHandles): Monitor {
  const pool = BufferPool.attach(handles.pool);
  const monitor = new Monitor({ program: 'bench' });
  monitor.watch('buffers', pool);
  monitor.watch('ids', WordChannel.attach(pool, handles.channel));
  return monitor;
}

const monitors = [monitorOf(unused), monitorOf(used)] as const;
const [ofUnused, ofUsed] = await Promise.all(
  monitors.map(async (monitor) => {
    const { url } = await Exporter.listen(monitor, { port: 0 });
    return url.replace('/?', '/metrics?');
  }),
);

async function scrape(url = ''): Promise<number> {
  await setTimeout(PERIOD_MS);
  const text = await (await fetch(url)).text();
  if (!text.includes('ids')) throw new Error(`not what was exported: ${text}`);
  return 1;
}

async function takeSnapshots(monitor: Monitor): Promise<number> {
  for (let i = 0; i < SNAPSHOTS; i++) monitor.snapshot();
  await setImmediate();
  return SNAPSHOTS;
}

parentPort?.postMessage('ready');
for (;;) {
  const reading = READINGS[Atomics.load(control, READING)];
  let count = 0;
  if (reading === 'scrapes elsewhere') count = await scrape(ofUnused);
  else if (reading === 'scrapes') count = await scrape(ofUsed);
  else if (reading === 'snapshots elsewhere') count = await takeSnapshots(monitors[0]);
  else if (reading === 'snapshots') count = await takeSnapshots(monitors[1]);
  else await setTimeout(PERIOD_MS);
  Atomics.add(control, COUNT, count);
}
