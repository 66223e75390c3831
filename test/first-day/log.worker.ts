// SPDX-License-Identifier: MIT
/** Writes lines to a log of another thread. */
import { workerData } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';

const { name, count } = workerData;
const pool = BufferPool.attach(workerData.pool);
const flusher = WriteFlusher.attach(pool, workerData.log);
const writer = new LocalWriter(flusher, { flush: { bytes: 4096 } });
for (let i = 0; i < count; i++) {
  const line = `${name} ${i} grüße\n`;
  // Waits while the disk is behind.
  if (!writer.tryWrite(line)) await writer.write(line);
}
await writer.drained();
writer.close();
pool.detach();
