// SPDX-License-Identifier: MIT
/** Example statsd, tests: an executor crashes, and its successor receives on the same port. */

import { createSocket } from 'node:dgram';
import { BroadcastChannel } from 'node:worker_threads';
import { beforeAll, expect, test } from 'vitest';
import { buildPrograms } from '../../test/program.ts';
import { Collector } from './collector.ts';

beforeAll(buildPrograms);

/** Far more than a successor needs to start; each one takes an answer of the executor. */
const TRIES_MAX = 10_000;

test('the successor of a crashed executor receives, and the rest goes on', async () => {
  let crashed: (error: Error) => void = () => {};
  const crash = new Promise<Error>((resolve) => {
    crashed = resolve;
  });
  const collector = await Collector.start({
    ...{ host: '127.0.0.1', port: 0, executors: 1, entriesMax: 100, receiveBytes: 65_536 },
    percentiles: [50],
    gaugeTtlSeconds: 60,
    module: new URL('../../build/examples/statsd/crashing.worker.js', import.meta.url),
    onCrash: (index, error) => crashed(Object.assign(error, { index })),
  });
  const socket = createSocket('udp4');
  const orders = new BroadcastChannel('statsd-crash');
  const counted: Record<string, number> = {};
  const say = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const { port } = collector;
      socket.send(text, port, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
    });
  const flush = async (): Promise<void> => {
    for (const { name, value } of (await collector.flush()).counters) {
      counted[name] = (counted[name] ?? 0) + value;
    }
  };
  try {
    await say('before:2|c\nlevel:7|g');
    for (let i = 0; i < TRIES_MAX && counted.before === undefined; i++) await flush();
    orders.postMessage('');
    const flushing = flush(); // may come to the dead one, to its successor, or between the two
    expect(await crash).toMatchObject({ index: 0, code: 'ERR_BUSBAR_EXECUTOR_CRASHED' });
    await flushing;
    for (let i = 0; i < TRIES_MAX && counted.after === undefined; i++) {
      await say('after:1|c');
      await flush();
    }
    expect(counted).toEqual({ before: 2, after: expect.any(Number) });
    const last = await collector.stop();
    expect(last.gauges).toEqual([{ name: 'level', tags: [], value: 7 }]);
    await collector.closed;
  } finally {
    socket.close();
    orders.close();
  }
});
