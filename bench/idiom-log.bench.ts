// SPDX-License-Identifier: MIT
/** A log of another thread in files that rotate, beside lines that are posted and written. */

import { createWriteStream, mkdtempSync, rmSync, type WriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { Writable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { WriteFlusher } from 'busbar/writer';
import type { BenchCase, PreparedCase } from './bench-case.ts';

const WORKER = new URL('./idiom-log.worker.js', import.meta.url);
const LINE = `${JSON.stringify({ level: 30, time: 1_700_000_000_000, msg: 'done' })}\n`;
const BATCH = 1000;
const FILE_BYTES_MAX = 4_000_000;
/** Names are used again: two files are all that is there. */
const FILES = 2;

export const idiomLogCases: readonly BenchCase[] = [
  {
    id: 'idiom/log-writer',
    what: `a line of ${LINE.length} B: writer.tryWrite, other thread; flusher.pipeTo, files rotate`,
    unit: BATCH,
    threads: 2,
    prepare: prepareWriter,
  },
  {
    id: 'idiom/log-postMessage',
    what: 'the same by postMessage, and write of each line to a file stream; files rotate',
    unit: BATCH,
    threads: 2,
    prepare: preparePort,
  },
];

/** Bytes that are out, and who waits for how many. */
class Progress {
  readonly folder = mkdtempSync(`${tmpdir()}/busbar-bench-`);
  #bytes = 0;
  #wanted = 0;
  #done: () => void = () => {};

  /** Asks the worker for lines; done when they are written. */
  run(worker: Worker, lines: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted += lines * LINE.length;
      this.#done = resolve;
      worker.postMessage(lines);
    });
  }

  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes === this.#wanted) this.#done();
  }

  path(number: number): string {
    return `${this.folder}/log.${number % FILES}`;
  }
}

function prepareWriter(): PreparedCase {
  const progress = new Progress();
  const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 64 });
  const flusher = WriteFlusher.create(pool);
  let file: FileHandle | undefined;
  let fileBytes = 0;
  let files = 0;
  const append = async (lines: Uint8Array): Promise<void> => {
    if (file === undefined || fileBytes + lines.length > FILE_BYTES_MAX) {
      await file?.close();
      file = await open(progress.path(files++), 'w');
      fileBytes = 0;
    }
    await file.appendFile(lines);
    fileBytes += lines.length;
    progress.note(lines.length);
  };
  flusher.pipeTo(
    new Writable({ write: (lines, _, done) => void append(lines).then(() => done(), done) }),
  );
  const worker = new Worker(WORKER, { workerData: [LINE, pool.handle, flusher.handle] });
  return {
    async run(ops) {
      await progress.run(worker, ops);
      return fileBytes;
    },
    async close() {
      await worker.terminate();
      await file?.close();
      rmSync(progress.folder, { recursive: true });
    },
  };
}

function preparePort(): PreparedCase {
  const progress = new Progress();
  const worker = new Worker(WORKER, { workerData: [LINE] });
  let file: WriteStream | undefined;
  let fileBytes = 0;
  let files = 0;
  const isOut = (): void => progress.note(LINE.length);
  worker.on('message', (line: string) => {
    if (file === undefined || fileBytes + line.length > FILE_BYTES_MAX) {
      file?.end();
      file = createWriteStream(progress.path(files++));
      fileBytes = 0;
    }
    file.write(line, isOut);
    fileBytes += line.length;
  });
  return {
    async run(ops) {
      await progress.run(worker, ops);
      return fileBytes;
    },
    async close() {
      await worker.terminate();
      await new Promise<void>((resolve) => (file === undefined ? resolve() : file.end(resolve)));
      rmSync(progress.folder, { recursive: true });
    },
  };
}
