// SPDX-License-Identifier: MIT
/** End to end: an executor of the broker that crashes on demand. */

import { BroadcastChannel } from 'node:worker_threads';
import type { ExecutorContext } from 'busbar/executor';
import { run as runBroker } from '../../broker/broker.worker.ts';
import type { CrashKind } from './broker-under-test.main.ts';

export function run(context: ExecutorContext): Promise<void> {
  const crashing = new BroadcastChannel('crash');
  crashing.unref();
  crashing.onmessage = (event): void => {
    const { index, how } = (event as { data: { index: number; how: CrashKind } }).data;
    if (index === context.index) crash(how);
  };
  return runBroker(context);
}

function crash(how: CrashKind): void {
  const error = new Error('told to crash');
  if (how === 'exit') process.exit(7);
  if (how === 'reject') void Promise.reject(error);
  else
    setImmediate(() => {
      throw error;
    });
}
