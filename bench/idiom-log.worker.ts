// SPDX-License-Identifier: MIT
/** Writes as many lines as it is told, to the log of another thread or by `postMessage`. */

import { parentPort, workerData } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';

const [line, handle, log] = workerData;

if (handle === undefined) {
  parentPort?.on('message', (count: number) => {
    for (let i = 0; i < count; i++) parentPort?.postMessage(line);
  });
} else {
  const pool = BufferPool.attach(handle);
  const writer = new LocalWriter(WriteFlusher.attach(pool, log), { flush: { bytes: 4096 } });
  parentPort?.on('message', async (count: number) => {
    for (let i = 0; i < count; i++) if (!writer.tryWrite(line)) await writer.write(line);
    await writer.drained();
  });
}
