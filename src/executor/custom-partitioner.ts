// SPDX-License-Identifier: MIT
/** A partitioner that calls a function of the user's. */

import { checkFunction } from '../base/check.ts';
import { checkCount, checkIndex, type Key, type Partitioner } from './partitioner.ts';

/**
 * Calls `choose` for each key.
 *
 * **Throws** from `partition`: what `choose` throws; a RangeError naming key and index unless the
 * index is an integer in `[0, count)`.
 */
export function customPartitioner(choose: (key: Key, count: number) => number): Partitioner {
  return new CustomPartitioner(checkFunction('choose', choose));
}

class CustomPartitioner implements Partitioner {
  private readonly choose: (key: Key, count: number) => number;

  constructor(choose: (key: Key, count: number) => number) {
    this.choose = choose;
  }

  partition(key: Key, count: number): number {
    checkCount(count);
    const choose = this.choose;
    return checkIndex('the function of customPartitioner', choose(key, count), key, count);
  }
}
