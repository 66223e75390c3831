// SPDX-License-Identifier: MIT
/** Checks that an argument is a BufferPool; the error names the argument. */

import { show } from '../base/check.ts';
import { BufferPool } from './buffer-pool.ts';

/**
 * Checks that an argument is a pool; this thread may have left it. **Throws** TypeError for
 * anything else.
 */
export function checkPool(pool: unknown): BufferPool {
  if (pool instanceof BufferPool) return pool;
  throw new TypeError(`pool must be a BufferPool, got ${show(pool)}`);
}
