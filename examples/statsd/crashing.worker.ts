// SPDX-License-Identifier: MIT
/** Example statsd, tests: an executor that crashes on demand. */

import { BroadcastChannel } from 'node:worker_threads';
import type { ExecutorContext } from 'busbar/executor';
import { run as collect } from './collector.worker.ts';

export async function run(context: ExecutorContext): Promise<void> {
  await collect(context);
  const orders = new BroadcastChannel('statsd-crash');
  orders.onmessage = () => {
    throw new Error('told to crash');
  };
  orders.unref();
}
