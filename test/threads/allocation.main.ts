// SPDX-License-Identifier: MIT
/** Test program: uses buffers ten million times in each way, between two marks in the trace. */
import { writeSync } from 'node:fs';
import { type BufferId, BufferPool } from 'busbar/pool';

const WARM_UP = 200_000;
const ROUNDS = 10_000_000;

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 256, batchSize: 16, maxThreads: 4 });
const words = new Int32Array(new SharedArrayBuffer(16));
const ids = new Int32Array(64);

/** One buffer in and out; now and then sixty, so that batches move. */
function acquireAndRelease(rounds: number): void {
  for (let i = 0; i < rounds; i++) {
    pool.release(pool.tryAcquire());
    if ((i & 1023) === 0) moveBatches();
  }
}

function moveBatches(): void {
  for (let i = 0; i < ids.length; i++) ids[i] = pool.tryAcquire();
  for (let i = 0; i < ids.length; i++) pool.release(ids[i] as BufferId);
}

function retainAndRelease(rounds: number): void {
  const id = pool.tryAcquire();
  for (let i = 0; i < rounds; i++) {
    pool.retain(id);
    pool.release(id);
  }
  pool.release(id);
}

/** Half of them keep a reference, half of them give the last one away. */
function sendAndReceive(rounds: number): void {
  const id = pool.tryAcquire();
  const offset = pool.offsetOf(id);
  for (let i = 0; i < rounds; i += 2) {
    pool.moveInto(id, offset, 8, words, 0);
    pool.moveFrom(words, 0);
    pool.retain(id);
    pool.moveInto(id, offset, 8, words, 0);
    pool.release(pool.moveFrom(words, 0));
  }
  pool.release(id);
}

function measure(name: string, loop: (rounds: number) => void): void {
  for (let i = 0; i < 5; i++) loop(WARM_UP);
  writeSync(1, `begin ${name}\n`);
  loop(ROUNDS);
  writeSync(1, `end ${name}\n`);
}

measure('acquire and release', acquireAndRelease);
measure('retain and release', retainAndRelease);
measure('send and receive', sendAndReceive);
const { freeShared, freeCached, held, threads } = pool.stats();
writeSync(1, `${JSON.stringify({ free: freeShared + freeCached, held, ...threads[0] })}\n`);
