// SPDX-License-Identifier: MIT
/** The room every packet lives in, as an argument: what is no pool is refused by its name. */

import { show } from '../base/check.ts';
import { BufferPool } from './buffer-pool.ts';

/** A pool, of which this thread may have left. **Throws** TypeError for anything else. */
export function checkPool(pool: unknown): BufferPool {
  if (pool instanceof BufferPool) return pool;
  throw new TypeError(`pool must be a BufferPool, got ${show(pool)}`);
}
