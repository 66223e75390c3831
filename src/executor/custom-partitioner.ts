// SPDX-License-Identifier: MIT
/** The room where packets are worked on: keys that go where the user's function says. */

import { checkFunction } from '../base/check.ts';
import { checkCount, checkIndex, type Key, type Partitioner } from './partitioner.ts';

/**
 * Asks `choose` for each key.
 *
 * **Throws** from `partition`: what `choose` throws; a RangeError naming key and answer when the
 * answer is not an integer in `[0, count)`.
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
