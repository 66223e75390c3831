// SPDX-License-Identifier: MIT
/** A partitioner that spreads keys evenly by their hash. */

import { checkOptions } from '../base/check.ts';
import { hashKey, reduceHash, resolveSeed } from './key-hash.ts';
import { checkCount, type Key, type Partitioner } from './partitioner.ts';

/** Options of the partitioners that hash. */
export interface HashPartitionerOptions {
  /**
   * The seed of the hash: an integer from 0 to 2³² − 1. Threads and machines must use the same seed
   * to choose the same executor for a key. Default 0, the usual seed of xxHash32.
   */
  readonly seed?: number;
}

/**
 * Spreads keys by their hash. When `count` changes, most keys move; `jumpPartitioner` and
 * `ringPartitioner` move only those that must.
 *
 * **Cost** one hash; allocates nothing for numbers, bytes and short strings.
 */
export function hashPartitioner(options: HashPartitionerOptions = {}): Partitioner {
  const own = checkOptions('options', options, ['seed']);
  return new HashPartitioner(resolveSeed(own.seed));
}

class HashPartitioner implements Partitioner {
  private readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
  }

  partition(key: Key, count: number): number {
    checkCount(count);
    return reduceHash(hashKey(key, this.seed), count);
  }
}
