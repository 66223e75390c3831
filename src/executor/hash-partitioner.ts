// SPDX-License-Identifier: MIT
/** The room where packets are worked on: keys spread evenly over executors. */

import { checkOptions } from '../base/check.ts';
import { checkSeed, HASH_SEED, hashKey, reduceHash } from './key-hash.ts';
import { checkCount, type Key, type Partitioner } from './partitioner.ts';

/** What can be set on the partitioners that hash. */
export interface HashPartitionerOptions {
  /**
   * What the hash begins with: an integer from 0 to 2³² − 1. Everyone who is to find the same
   * executor for a key needs the same one. Default 0, the seed of every other xxHash32: keys go the
   * same way on all machines unless somebody asks otherwise.
   */
  readonly seed?: number;
}

/**
 * Spreads keys by their hash. When `count` changes, most keys move; `jumpPartitioner` and
 * `ringPartitioner` move only those that must.
 *
 * **Cost** one hash (`hashKey`); allocates nothing for numbers, bytes and short strings.
 */
export function hashPartitioner(options: HashPartitionerOptions = {}): Partitioner {
  const own = checkOptions('options', options, ['seed']);
  return new HashPartitioner(checkSeed(own.seed ?? HASH_SEED));
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
