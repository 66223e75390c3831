// SPDX-License-Identifier: MIT
/** What it costs the thread that works if another one exports its counters. */

import { setTimeout } from 'node:timers/promises';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { type Reading, startMetricsWork } from './metrics-work.ts';

export const metricsCases: readonly BenchCase[] = [
  metricsCase(
    'hot-path',
    'tryAcquire, trySend, tryReceive, release, while no thread reads the counters',
    'none',
  ),
  metricsCase(
    'exporter-elsewhere',
    'the same while another thread exports those of other objects, by HTTP, some 90 times a second',
    'scrapes elsewhere',
  ),
  metricsCase('exporter-on-hot-path', 'the same while it exports them', 'scrapes'),
  metricsCase(
    'snapshots-elsewhere',
    'the same while it takes snapshots of other objects without a pause',
    'snapshots elsewhere',
  ),
  metricsCase('snapshots-on-hot-path', 'the same while it takes snapshots of them', 'snapshots'),
];

function metricsCase(name: string, what: string, reading: Reading): BenchCase {
  return { id: `metrics/${name}`, what, unit: 1000, threads: 2, prepare: () => prepare(reading) };
}

async function prepare(reading: Reading): Promise<PreparedCase> {
  const work = await startMetricsWork();
  work.read(reading);
  // A short run may end before the first reading.
  while (reading !== 'none' && work.count() === 0) await setTimeout(1);
  return {
    run: (ops) => work.run(ops),
    note: () => (reading === 'none' ? '' : `the counters were read ${work.count()} times`),
    close: () => work.close(),
  };
}
