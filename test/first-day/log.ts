// SPDX-License-Identifier: MIT
/** A log in a file, which its writer waits for when the disk is slow. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';

export interface Log {
  readonly pool: BufferPool;
  write(line: string): Promise<void>;
  close(): Promise<void>;
}

export async function openLog(path: string): Promise<Log> {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8 });
  const flusher = WriteFlusher.create(pool);
  const file = createWriteStream(path);
  flusher.pipeTo(file);
  const writer = new LocalWriter(flusher, { flush: 'turn' });
  return {
    pool,
    async write(line: string) {
      while (!writer.tryWrite(line)) (await writer.reserve(line.length)).abort();
    },
    async close() {
      await writer.drained();
      writer.close();
      while (flusher.stats().waitingRegions > 0) await new Promise(setImmediate);
      file.end();
      await once(file, 'finish');
    },
  };
}
