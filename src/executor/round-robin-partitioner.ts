// SPDX-License-Identifier: MIT
/** A partitioner that takes one executor after the other, whatever the key. */

import { checkCount, type Key, type Partitioner } from './partitioner.ts';

/**
 * Returns 0, 1, … `count` − 1, 0, … and ignores the key: packets of one key are spread too, and
 * their order is lost. Every partitioner counts for itself.
 */
export function roundRobinPartitioner(): Partitioner {
  return new RoundRobinPartitioner();
}

class RoundRobinPartitioner implements Partitioner {
  private next = 0;

  partition(_key: Key, count: number): number {
    checkCount(count);
    const index = this.next < count ? this.next : 0;
    this.next = index + 1;
    return index;
  }
}
