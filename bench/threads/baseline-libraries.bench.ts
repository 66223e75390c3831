// SPDX-License-Identifier: MIT
/** What other packages need to bring 64 bytes, an object or nothing at all to a worker. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { Piscina } from 'piscina';
import ThreadStream from 'thread-stream';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { Histogram } from '../histogram.ts';
import { Stopwatch } from '../latency.ts';
import { COUNT_WORDS, ENDING, RECEIVED, textOf, WRONG } from './baseline-libraries.ts';
import { MESSAGE_BYTES, nextNumber, writeMessage } from './message.ts';
import { loadMultithreading } from './multithreading.ts';

/** Slots of multithreading's channel: as many as those of the other cases. */
const SLOTS = 1024;
const HEAP_BYTES = 64 * 2 ** 20;

interface Receiver {
  recv(): Promise<{ ok: boolean; value?: { number: number; text: string } }>;
}

export const libraryCases: readonly BenchCase[] = [
  {
    id: 'baseline/thread-stream-64B',
    what: '64 B written to a ThreadStream, one way, streaming; its worker gets them as text',
    unit: 1000,
    threads: 2,
    prepare: prepareThreadStream,
  },
  // With its default heap most strings arrive wrong, and it runs out of memory before long.
  {
    id: 'baseline/multithreading-channel-64MiB',
    what: `an object of about 64 B through multithreading's channel of ${SLOTS}, heap of 64 MiB`,
    unit: 100,
    threads: 2,
    prepare: prepareMultithreading,
  },
  {
    id: 'baseline/piscina-empty-task',
    what: 'a task that returns its argument, one at a time, there and back',
    unit: 100,
    threads: 2,
    prepare: preparePiscina,
  },
];

async function prepareThreadStream(): Promise<PreparedCase> {
  const counts = createCounts();
  const program = new URL('./threads/thread-stream.worker.js', import.meta.url);
  const wrapper = wrapAsDefault(program, 'createDestination');
  const stream = new ThreadStream({ filename: wrapper.filename, workerData: { counts } });
  let failure: Error | undefined;
  stream.on('error', (error: Error) => {
    failure = error;
  });
  await new Promise((resolve) => stream.once('ready', resolve));
  const write = stream.write.bind(stream) as unknown as (message: Buffer) => boolean;
  let goal = 0;
  let number = 0;
  return {
    async run(ops) {
      goal = (goal + ops) | 0;
      for (let i = 0; i < ops; i++, number = nextNumber(number)) {
        // The stream keeps what it is given until later, so each message needs memory of its own.
        const message = Buffer.allocUnsafe(MESSAGE_BYTES);
        writeMessage(new DataView(message.buffer, message.byteOffset), 0, number);
        if (!write(message)) await new Promise((resolve) => stream.once('drain', resolve));
      }
      await reached(counts, goal, () => failure);
      if (Atomics.load(counts, WRONG) > 0) throw new Error('messages arrived garbled');
      return ops;
    },
    async close() {
      stream.end();
      await new Promise((resolve) => stream.once('close', resolve));
      wrapper.remove();
    },
  };
}

/**
 * Counts wrong messages instead of failing: that they arrive garbled is what this case found out.
 */
async function prepareMultithreading(): Promise<PreparedCase> {
  const { spawn, move, channel, shutdown } = await loadMultithreading();
  const counts = createCounts();
  const [tx, rx] = channel(SLOTS, { size: HEAP_BYTES });
  silenceWarnings();
  const indexes = { received: RECEIVED, wrong: WRONG, ending: ENDING };
  // Travels as source text: what it uses must be its own or an argument.
  spawn(
    move(rx, counts, indexes),
    async (receiver: Receiver, words: Int32Array, at: typeof indexes) => {
      for (let i = 0; ; i++) {
        const { ok, value } = await receiver.recv();
        if (!ok && Atomics.load(words, at.ending) !== 0) return;
        const text = `message ${i}`.padEnd(48, '.');
        if (value?.number !== i || value.text !== text) Atomics.add(words, at.wrong, 1);
        Atomics.add(words, at.received, 1);
      }
    },
  );
  let sent = 0;
  return {
    async run(ops) {
      for (let i = 0; i < ops; i++, sent++) {
        const result = await tx.send({ number: sent, text: textOf(sent) });
        if (!result.ok) throw result.error;
      }
      await reached(counts, sent, () => undefined);
      return ops;
    },
    close() {
      Atomics.store(counts, ENDING, 1);
      tx[Symbol.dispose]();
      shutdown();
    },
    note() {
      const wrongCount = Atomics.load(counts, WRONG);
      if (wrongCount === 0) return '';
      return `${((100 * wrongCount) / sent).toFixed(1)} % of ${sent} messages arrived wrong`;
    },
  };
}

async function preparePiscina(): Promise<PreparedCase> {
  const filename = new URL('./threads/piscina.worker.js', import.meta.url).href;
  const pool = new Piscina({ filename, name: 'answer', minThreads: 1, maxThreads: 1 });
  const latencies = new Histogram();
  const watch = new Stopwatch(latencies);
  await pool.run(0);
  return {
    latencies,
    async run(ops) {
      for (let i = 0; i < ops; i++) {
        watch.begin();
        const answer = await pool.run(i);
        watch.end();
        if (answer !== i) throw new Error(`task ${i} answered ${answer}`);
      }
      return ops;
    },
    close: () => pool.close(),
  };
}

/** A module whose default export is what `program` exports as `name`: thread-stream wants one. */
function wrapAsDefault(program: URL, name: string): { filename: string; remove(): void } {
  const folder = mkdtempSync(join(os.tmpdir(), 'busbar-bench-'));
  const filename = join(folder, 'default.mjs');
  writeFileSync(filename, `export { ${name} as default } from ${JSON.stringify(program.href)};\n`);
  return { filename, remove: () => rmSync(folder, { recursive: true }) };
}

/** It warns of shared memory without a lock of its own kind; the counts here need none. */
function silenceWarnings(): void {
  console.warn = () => {};
}

function createCounts(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(COUNT_WORDS * Int32Array.BYTES_PER_ELEMENT));
}

/** Resolves when as many messages have been received; looks once per turn of the event loop. */
async function reached(
  counts: Int32Array<SharedArrayBuffer>,
  goal: number,
  failure: () => Error | undefined,
): Promise<void> {
  while (Atomics.load(counts, RECEIVED) !== goal) {
    const error = failure();
    if (error !== undefined) throw error;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
