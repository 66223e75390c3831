// SPDX-License-Identifier: MIT
/** Sends back what it gets: as an executor, or as a worker by `postMessage`. */

import { parentPort, workerData } from 'node:worker_threads';
import type { ExecutorContext } from 'busbar/executor';

export function run({ mailbox, host, data }: ExecutorContext): void {
  if (data === 'respond') mailbox.respond((packet) => packet);
  else mailbox.handle((packet) => (host.trySend(packet) ? undefined : host.send(packet)));
}

if (workerData === 'port') {
  parentPort?.on('message', (name: string) => parentPort?.postMessage(name));
}
