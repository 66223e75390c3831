// SPDX-License-Identifier: MIT
/** A log in files of a bounded size, into which three threads write lines; it ends with them. */
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { WriteFlusher } from 'busbar/writer';

export async function logLines(
  path: string,
  options: { program: URL; linesEach: number; fileBytesMax: number },
): Promise<BufferPool> {
  const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 16 });
  const flusher = WriteFlusher.create(pool);
  let file: FileHandle | undefined;
  let fileBytes = 0;
  let files = 0;
  const append = async (lines: Uint8Array): Promise<void> => {
    if (file === undefined || fileBytes + lines.length > options.fileBytesMax) {
      await file?.close();
      file = await open(`${path}.${files++}`, 'w');
      fileBytes = 0;
    }
    await file.appendFile(lines);
    fileBytes += lines.length;
  };
  // A region has whole lines; while one is written, the others wait, and then their writers.
  const log = new Writable({
    write: (lines, _, done) => void append(lines).then(() => done(), done),
  });
  flusher.pipeTo(log);
  const workers = ['red', 'green', 'blue'].map((name) => {
    const workerData = { name, count: options.linesEach, pool: pool.handle, log: flusher.handle };
    return once(new Worker(options.program, { workerData }), 'exit');
  });
  await Promise.all(workers);
  await flusher.drained();
  await once(log.end(), 'finish');
  await file?.close();
  return pool;
}
