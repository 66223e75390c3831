// SPDX-License-Identifier: MIT
/** A worker that joins a pool and leaves it for ever, until it is terminated in the midst of it. */
import { workerData } from 'node:worker_threads';
import { BufferPool, NO_BUFFER } from 'busbar/pool';

const rounds = new Int32Array(workerData.rounds);
for (;;) {
  const pool = BufferPool.attach(workerData.handle);
  const id = pool.tryAcquire();
  if (id !== NO_BUFFER) pool.release(id);
  pool.detach();
  Atomics.add(rounds, 0, 1);
}
