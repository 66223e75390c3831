// SPDX-License-Identifier: MIT
/**
 * Test program: a pool and a thread that gets its handle by `workerData` and by a message. Prints
 * what copies the bytes in either, and whether the handle has a memory.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { ByteFinder } from 'busbar/framer';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';

const SIZE = 4096;
const TEXT = 'one line\nand another';

interface Report {
  readonly memory: string;
  readonly line: number;
}

/** Moves each buffer's text into the next one by an odd number of bytes, and looks for its end. */
function work(pool: BufferPool): Report {
  const finder = new ByteFinder(0x0a);
  let line = 0;
  for (let id = 1; id < pool.bufferCount; id++) {
    const at = id * SIZE;
    pool.copy(at + 3, at - SIZE + 3 * Math.sign(id - 1), TEXT.length);
    line = finder.find(pool.bytes, at, at + SIZE) - at;
  }
  return { memory: pool.stats().memory, line };
}

if (isMainThread) {
  const pool = BufferPool.create({ bufferSize: SIZE, bufferCount: 48, maxThreads: 3 });
  pool.bytes.set(Buffer.from(TEXT));
  const worker = new Worker(new URL(import.meta.url), { workerData: pool.handle });
  worker.postMessage(pool.handle);
  const reports = [work(pool)];
  for (let i = 0; i < 2; i++) reports.push(...((await once(worker, 'message')) as [Report]));
  const end = pool.bytes.subarray(47 * SIZE + 3, 47 * SIZE + 3 + TEXT.length);
  if (Buffer.from(end).toString() !== TEXT) throw new Error('the text did not arrive');
  await worker.terminate();
  const hasMemory = pool.handle.memory !== undefined;
  process.stdout.write(`${JSON.stringify({ hasMemory, reports })}\n`);
} else {
  const port = parentPort;
  const visit = (handle: BufferPoolHandle): void => {
    const pool = BufferPool.attach(handle);
    port?.postMessage(work(pool));
    pool.detach();
  };
  visit(workerData as BufferPoolHandle);
  port?.once('message', visit);
}
