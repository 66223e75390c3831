// SPDX-License-Identifier: MIT
/**
 * The demonstration. Starts the load, prints a line per second and a summary.
 */

import { Worker } from 'node:worker_threads';
import type { Broker } from '../broker.ts';
import type { LoadReport, LoadRequest } from './load.worker.ts';

const PUBLISHERS = 2;
const PAYLOAD_BYTES = 64;

/** A broker, on one thread or on several. */
export type RunningBroker = Pick<Broker, 'options' | 'port' | 'pool'>;

/** What is on its way when the demonstration is stopped should arrive by then. */
const REST_MS_MAX = 5000;

/**
 * Resolves to whether every message arrived, in order and unaltered. `signal` stops it early: no
 * more is published then.
 */
export async function demonstrate(
  broker: RunningBroker,
  seconds: number,
  signal: AbortSignal,
): Promise<boolean> {
  const { host, user, pass, token } = broker.options;
  const request: LoadRequest = {
    host,
    port: broker.port,
    credentials: { user, pass, token },
    publishers: PUBLISHERS,
    payloadBytes: PAYLOAD_BYTES,
    seconds,
  };
  console.log(
    `\nFor ${seconds} s: ${PUBLISHERS} publishers, messages of ${PAYLOAD_BYTES} B, ` +
      `each to 2 of ${PUBLISHERS + 1} subscribers,\n` +
      'all over TCP from one other thread, which checks order and content of every message.\n',
  );
  console.log('     published     delivered      payload    latency p50        p99');
  const before = process.cpuUsage();
  const beganMs = performance.now();
  const worker = new Worker(new URL('./demo/load.worker.js', import.meta.url), {
    workerData: request,
  });
  const stop = (): void => {
    worker.postMessage('stop');
    setTimeout(() => worker.terminate(), REST_MS_MAX).unref();
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  const last = await new Promise<LoadReport>((resolve, reject) => {
    worker.on('message', (report: LoadReport) => {
      console.log(describe(report));
      if (report.done) resolve(report);
    });
    worker.on('error', reject);
    worker.on('exit', () => reject(new Error('the load stopped before its end')));
  });
  signal.removeEventListener('abort', stop);
  const used = process.cpuUsage(before);
  const cores = (used.user + used.system) / 1000 / (performance.now() - beganMs);
  return summarize(broker, last, cores);
}

function summarize(broker: RunningBroker, last: LoadReport, cores: number): boolean {
  const missing = 2 * last.published - last.delivered;
  const { capacity, held } = broker.pool.stats();
  console.log(
    `\n${count(last.published)} messages published, ${count(last.delivered)} delivered, ` +
      `${missing} missing, ${last.wrong} wrong or out of order.\n` +
      `Load and broker together kept ${cores.toFixed(1)} cores busy.`,
  );
  if (last.quietMs > 0) {
    const us = (last.quietMs * 1000).toFixed(0);
    console.log(
      `One message at a time, nothing else going on: ${us} µs from client to client (median).`,
    );
  }
  if (last.error !== undefined) console.log(`The load ended early: ${last.error}`);
  console.log(
    `Memory of the pool: ${count(capacity)} buffers of ${broker.pool.bufferSize / 1024} KiB, ` +
      `${count(held)} in use now.`,
  );
  return missing === 0 && last.wrong === 0 && last.error === undefined;
}

function describe(report: LoadReport): string {
  const { published, delivered, seconds } = report;
  const rate = (messages: number): string =>
    `${(messages / seconds / 1e6).toFixed(2)} M/s`.padStart(14);
  const megabytes = (delivered * PAYLOAD_BYTES) / seconds / 1e6;
  return (
    (report.done ? 'all' : '   ') +
    rate(published).slice(1) +
    rate(delivered) +
    `${megabytes.toFixed(0)} MB/s`.padStart(13) +
    `${report.latencyP50.toFixed(2)} ms`.padStart(15) +
    `${report.latencyP99.toFixed(2)} ms`.padStart(11)
  );
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
