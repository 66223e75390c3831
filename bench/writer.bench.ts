// SPDX-License-Identifier: MIT
/** Costs of appending messages and of handing them over in one flush. */

import { Worker } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, type RegionSink, SharedWriter, WriteFlusher } from 'busbar/writer';
import type { BenchCase, PreparedCase } from './bench-case.ts';
import {
  BUFFER_SIZE,
  FILL,
  MESSAGE_BYTES,
  MESSAGES_PER_FLUSH,
  WORD_FAILED,
  WORD_MESSAGES,
  WORD_TURN,
  type WriterThreadData,
} from './writer-thread.ts';

const BUFFER_COUNT = 256;
const SMALL_MESSAGE_BYTES = 16;
/**
 * Messages between two drains in the cases that do not measure the flush: so many that it costs
 * next to nothing.
 */
const MESSAGES_PER_RARE_FLUSH = 4000;
const F64_BYTES = 8;

type Writer = LocalWriter | SharedWriter;

export const writerCases: readonly BenchCase[] = [
  copying('writer/local-16B', SMALL_MESSAGE_BYTES, MESSAGES_PER_RARE_FLUSH),
  copying('writer/local-60B', MESSAGE_BYTES, MESSAGES_PER_RARE_FLUSH),
  {
    id: 'writer/local-60B-in-place',
    what: 'tryReserve, seven doubles and a u32 written in place, commit',
    unit: MESSAGES_PER_RARE_FLUSH,
    threads: 1,
    prepare: prepareInPlace,
  },
  copying('writer/local-flush-60B', MESSAGE_BYTES, MESSAGES_PER_FLUSH),
  {
    id: 'writer/shared-flush-60B',
    what: 'SharedWriter.tryWrite of 60 B, flush and drain every 1000, one thread',
    unit: MESSAGES_PER_FLUSH,
    threads: 1,
    prepare() {
      const ends = createFlusher();
      return prepareCopying(
        SharedWriter.create(ends.flusher),
        ends,
        MESSAGE_BYTES,
        MESSAGES_PER_FLUSH,
      );
    },
  },
  {
    id: 'writer/thread-to-flusher-60B',
    what: 'tryWrite of 60 B and flush every 1000 in a worker, drain and release here',
    unit: MESSAGES_PER_FLUSH,
    threads: 2,
    prepare: prepareThread,
  },
];

/** The receiving end: counts the bytes of what it drains and gives the buffers back. */
interface ReceivingEnd {
  readonly pool: BufferPool;
  readonly flusher: WriteFlusher;
  readonly received: { bytes: number };
  readonly sink: RegionSink;
}

function createFlusher(): ReceivingEnd {
  const pool = BufferPool.create({ bufferSize: BUFFER_SIZE, bufferCount: BUFFER_COUNT });
  const received = { bytes: 0 };
  const sink: RegionSink = (_writerId, _offset, length, bufferId) => {
    received.bytes += length;
    pool.release(bufferId);
  };
  return { pool, flusher: WriteFlusher.create(pool), received, sink };
}

function copying(id: string, messageBytes: number, messagesPerFlush: number): BenchCase {
  return {
    id,
    what: `LocalWriter.tryWrite of ${messageBytes} B, flush and drain every ${messagesPerFlush}`,
    unit: messagesPerFlush,
    threads: 1,
    prepare() {
      const ends = createFlusher();
      return prepareCopying(new LocalWriter(ends.flusher), ends, messageBytes, messagesPerFlush);
    },
  };
}

function prepareCopying(
  writer: Writer,
  ends: ReceivingEnd,
  messageBytes: number,
  messagesPerFlush: number,
): PreparedCase {
  const { pool, flusher, received, sink } = ends;
  const source = new Uint8Array(messageBytes).fill(FILL);
  return {
    run(ops) {
      const expected = received.bytes + ops * messageBytes;
      for (let done = 0; done < ops; done += messagesPerFlush) {
        let written = 0;
        for (let i = 0; i < messagesPerFlush; i++) if (writer.tryWrite(source)) written++;
        if (written !== messagesPerFlush) throw new Error('the pool was too small');
        writer.flush();
        flusher.drain(sink);
      }
      if (received.bytes !== expected) throw new Error('bytes were lost');
      return received.bytes;
    },
    close: () => closeWriter(writer, flusher, pool),
  };
}

function prepareInPlace(): PreparedCase {
  const { pool, flusher, received, sink } = createFlusher();
  const writer = new LocalWriter(flusher);
  const { view } = pool;
  return {
    run(ops) {
      const expected = received.bytes + ops * MESSAGE_BYTES;
      for (let done = 0; done < ops; done += MESSAGES_PER_RARE_FLUSH) {
        for (let i = 0; i < MESSAGES_PER_RARE_FLUSH; i++) {
          const offset = writer.tryReserve(MESSAGE_BYTES);
          view.setUint32(offset, i, true);
          view.setFloat64(offset + 4, 0.5, true);
          view.setFloat64(offset + 4 + F64_BYTES, 1.5, true);
          view.setFloat64(offset + 4 + 2 * F64_BYTES, 2.5, true);
          view.setFloat64(offset + 4 + 3 * F64_BYTES, 3.5, true);
          view.setFloat64(offset + 4 + 4 * F64_BYTES, 4.5, true);
          view.setFloat64(offset + 4 + 5 * F64_BYTES, 5.5, true);
          view.setFloat64(offset + 4 + 6 * F64_BYTES, i, true);
          writer.commit(offset, MESSAGE_BYTES);
        }
        writer.flush();
        flusher.drain(sink);
      }
      if (received.bytes !== expected) throw new Error('bytes were lost');
      return received.bytes;
    },
    close: () => closeWriter(writer, flusher, pool),
  };
}

/**
 * A worker writes as many messages as it is told; this thread drains until all of them have come.
 */
async function prepareThread(): Promise<PreparedCase> {
  const { pool, flusher, received, sink } = createFlusher();
  const control = new Int32Array(new SharedArrayBuffer(1024));
  const workerData: WriterThreadData = { pool: pool.handle, flusher: flusher.handle, control };
  const worker = new Worker(new URL('./writer.worker.js', import.meta.url), { workerData });
  await new Promise((resolve) => worker.once('online', resolve));
  const exited = new Promise((resolve) => worker.once('exit', resolve));
  const tell = (messages: number): void => {
    control[WORD_MESSAGES] = messages;
    Atomics.add(control, WORD_TURN, 1);
    Atomics.notify(control, WORD_TURN);
  };
  return {
    run(ops) {
      const expected = received.bytes + ops * MESSAGE_BYTES;
      tell(ops);
      for (let idle = 0; received.bytes < expected; idle++) {
        if (flusher.drain(sink) > 0) idle = 0;
        if ((idle & 0xffff) === 0xffff && Atomics.load(control, WORD_FAILED) !== 0) {
          throw new Error('the writing thread has failed');
        }
      }
      return received.bytes;
    },
    async close() {
      tell(-1);
      await exited;
      flusher.drain(sink);
      flusher.close();
      pool.detach();
    },
  };
}

function closeWriter(writer: Writer, flusher: WriteFlusher, pool: BufferPool): void {
  writer.close();
  flusher.close();
  pool.detach();
}
