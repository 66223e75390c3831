// SPDX-License-Identifier: MIT
/**
 * Test program: reads a text again and again while another thread writes texts of three bytes and
 * of one byte a character over it. Decoded in place it ends the process: in 0.1 s on Node 20.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';

const BYTES = 3000;
const ROUNDS = 200_000;

if (isMainThread) {
  const pool = BufferPool.create({ bufferSize: BYTES, bufferCount: 1, maxThreads: 2 });
  const id = pool.tryAcquire();
  const worker = new Worker(new URL(import.meta.url), { workerData: pool.handle });
  await once(worker, 'message');
  let length = 0;
  const endMs = performance.now() + 1000;
  for (let i = 0; i < ROUNDS && performance.now() < endMs; i++) {
    length += pool.text(pool.offsetOf(id), BYTES).length;
  }
  await worker.terminate();
  process.exitCode = length > 0 ? 0 : 1;
} else {
  const { bytes } = BufferPool.attach(workerData as BufferPoolHandle);
  const wide = Buffer.from('€'.repeat(BYTES / 3));
  parentPort?.postMessage('ready');
  for (;;) {
    bytes.set(wide);
    bytes.fill(0x61, 0, BYTES);
  }
}
