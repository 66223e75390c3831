// SPDX-License-Identifier: MIT
/** Costs of acquiring a buffer from the pool and releasing it. */

import { type BufferId, BufferPool } from 'busbar/pool';
import type { BenchCase } from './bench-case.ts';

const BUFFER_SIZE = 2048;
const BUFFER_COUNT = 4096;
const BATCH_SIZE = 64;
/** Buffers out at once in the churn case: more than a cache holds, so batches move. */
const CHURN = 256;

export const poolCases: readonly BenchCase[] = [
  {
    id: 'pool/try-acquire-release',
    what: 'tryAcquire, release',
    unit: 1000,
    threads: 1,
    prepare() {
      const pool = createPool();
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const id = pool.tryAcquire();
            sum = (sum + id) | 0;
            pool.release(id);
          }
          return sum;
        },
        close: () => closePool(pool),
      };
    },
  },
  {
    id: 'pool/acquire-release',
    what: 'await acquire, release; a buffer is always free',
    unit: 1000,
    threads: 1,
    prepare() {
      const pool = createPool();
      return {
        async run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const id = await pool.acquire();
            sum = (sum + id) | 0;
            pool.release(id);
          }
          return sum;
        },
        close: () => closePool(pool),
      };
    },
  },
  {
    id: 'pool/churn-256',
    what: '256 buffers acquired, then released; per buffer',
    unit: CHURN,
    threads: 1,
    prepare() {
      const pool = createPool();
      const ids = new Int32Array(CHURN);
      return {
        run(ops) {
          let sum = 0;
          for (let done = 0; done < ops; done += CHURN) {
            for (let i = 0; i < CHURN; i++) ids[i] = pool.tryAcquire();
            for (let i = 0; i < CHURN; i++) {
              sum = (sum + ids[i]) | 0;
              pool.release(ids[i] as BufferId);
            }
          }
          return sum;
        },
        close: () => closePool(pool),
      };
    },
  },
];

function createPool(): BufferPool {
  return BufferPool.create({
    bufferSize: BUFFER_SIZE,
    bufferCount: BUFFER_COUNT,
    batchSize: BATCH_SIZE,
  });
}

/** Detaching throws if a buffer is still held. */
function closePool(pool: BufferPool): void {
  pool.detach();
}
