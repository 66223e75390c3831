// SPDX-License-Identifier: MIT
/** Test worker: joins and leaves a pool in a loop until it is terminated. */
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
