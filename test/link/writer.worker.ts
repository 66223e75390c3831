// SPDX-License-Identifier: MIT
/** Test worker: its writer feeds a link of the main thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';
import { framed } from '../numbered.ts';

const { poolHandle, flusherHandle, count } = workerData;
const pool = BufferPool.attach(poolHandle);
const writer = new LocalWriter(WriteFlusher.attach(pool, flusherHandle));
// The link must know the writer before anything is flushed.
parentPort?.once('message', async () => {
  for (let n = 0; n < count; n++) {
    const message = framed(n, 8 + (n % 90));
    const reservation = await writer.reserve(message.length);
    pool.bytes.set(message, reservation.offset);
    reservation.commit();
    if (n % 16 === 0) writer.flush();
  }
  while (!writer.flush()) await new Promise(setImmediate);
  writer.close();
  pool.detach();
});
parentPort?.postMessage(writer.id);
