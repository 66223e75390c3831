// SPDX-License-Identifier: MIT
/**
 * The writing thread of `writer/thread-to-flusher-60B`: writes a given number of messages on
 * command.
 */

import { workerData } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';
import {
  FILL,
  MESSAGE_BYTES,
  MESSAGES_PER_FLUSH,
  WORD_FAILED,
  WORD_MESSAGES,
  WORD_TURN,
  type WriterThreadData,
} from './writer-thread.ts';

const data = workerData as WriterThreadData;
const pool = BufferPool.attach(data.pool);
const flusher = WriteFlusher.attach(pool, data.flusher);
const writer = new LocalWriter(flusher);
const source = new Uint8Array(MESSAGE_BYTES).fill(FILL);

try {
  work(data.control);
  writer.close();
  pool.detach();
} catch (error) {
  Atomics.store(data.control, WORD_FAILED, 1);
  throw error;
}

function work(control: Int32Array): void {
  for (let turn = 0; ; turn++) {
    Atomics.wait(control, WORD_TURN, turn);
    const messages = control[WORD_MESSAGES];
    if (messages < 0) return;
    for (let done = 0; done < messages; done += MESSAGES_PER_FLUSH) writeOneFlush();
    flushAll();
  }
}

function writeOneFlush(): void {
  for (let i = 0; i < MESSAGES_PER_FLUSH; i++) {
    // "Not now": the draining thread is behind. It spins too, so trying again is the fastest way
    // to wait.
    while (!writer.tryWrite(source)) writer.flush();
  }
  writer.flush();
}

function flushAll(): void {
  while (!writer.flush() || writer.bufferedBytes > 0);
}
