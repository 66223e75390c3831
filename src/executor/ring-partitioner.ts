// SPDX-License-Identifier: MIT
/** A partitioner whose keys stay in place whichever executor is added or removed. */

import { checkInteger, checkOptions } from '../base/check.ts';
import type { HashPartitionerOptions } from './hash-partitioner.ts';
import { hashKey, resolveSeed } from './key-hash.ts';
import { checkCount, type Key, type Partitioner, showKey } from './partitioner.ts';
import { hashWords } from './xxhash32.ts';

const INDEX_MAX = 0xf_ffff;
const VIRTUAL_NODES_MAX = 0x1_0000;

/** Options of a ring. */
export interface RingPartitionerOptions extends HashPartitionerOptions {
  /**
   * Points that each executor has on the ring: an integer from 1 to 65 536. More points spread the
   * keys more evenly and cost 16 bytes each. Default 256: most shares are then within a tenth of
   * the mean.
   */
  readonly virtualNodes?: number;
  /**
   * Puts the executors `[0, count)` on the ring at once: an integer from 1 to 2²⁰. Default: if
   * no executor was added before, the first `partition` puts all `[0, count)` on the ring.
   */
  readonly count?: number;
}

/** A ring whose executors can be added and removed while it is in use. */
export interface RingPartitioner extends Partitioner {
  /**
   * Puts an executor, an integer from 0 to 2²⁰ − 1, on the ring: only keys that now belong to it
   * move. Returns false if it was there already.
   */
  add(index: number): boolean;
  /**
   * Takes an executor off the ring: only its keys move. Returns false if it was not there.
   *
   * **Throws** a RangeError for the last one: its keys would belong to no executor.
   */
  remove(index: number): boolean;
  /** Which executors are on the ring, ascending. */
  readonly indexes: readonly number[];
}

/**
 * Spreads keys by consistent hashing on a ring: every executor owns the arcs that end at its
 * points. The result depends on which executors are on the ring, not on the order in which they
 * were added; `count` must exceed the index of each key's executor, else `partition` throws a
 * RangeError.
 *
 * **Cost** one hash and about two comparisons; `add` and `remove` rebuild the ring (1 ms for
 * 16 executors). Allocates nothing for numbers, bytes and short strings.
 */
export function ringPartitioner(options: RingPartitionerOptions = {}): RingPartitioner {
  const own = checkOptions('options', options, ['seed', 'virtualNodes', 'count']);
  const seed = resolveSeed(own.seed);
  const virtualNodes = own.virtualNodes ?? 256;
  checkInteger('virtualNodes', virtualNodes, 1, VIRTUAL_NODES_MAX);
  const ring = new HashRing(seed, virtualNodes);
  if (own.count !== undefined) {
    ring.addAll(checkInteger('count', own.count, 1, INDEX_MAX + 1));
  }
  return ring;
}

/** Keeps the hash of a point different from the hash of the integer key of the same words. */
const POINT_SEED = 0x5bd1e995;

const INDEX_SPAN = INDEX_MAX + 1;

class HashRing implements RingPartitioner {
  private readonly seed: number;
  private readonly virtualNodes: number;
  private members: Set<number> = new Set();
  /** Every point as `point · 2²⁰ + index`, ascending: of points that collide the lower index
   * owns the arc, and the other takes over when it leaves. */
  private entries: Float64Array = new Float64Array(0);
  /** The points, ascending, and one beyond the last that wraps to the first. */
  private points: Uint32Array = new Uint32Array(1);
  /** The executor of the point at the same place in `points`. */
  private owners: Int32Array = new Int32Array(1);
  /** Where the points begin whose highest bits are the index here; there are about as many. */
  private starts: Int32Array = new Int32Array(1);
  private shift = 31;

  constructor(seed: number, virtualNodes: number) {
    this.seed = seed;
    this.virtualNodes = virtualNodes;
  }

  get indexes(): readonly number[] {
    return [...this.members].sort((a, b) => a - b);
  }

  partition(key: Key, count: number): number {
    checkCount(count);
    const hash = hashKey(key, this.seed) >>> 0;
    if (this.members.size === 0) this.addAll(count);
    const points = this.points;
    let place = this.starts[hash >>> this.shift];
    while (points[place] < hash) place++;
    const index = this.owners[place];
    if (index >= count) {
      throw new RangeError(
        `count must exceed the indexes on the ring: the key ${showKey(key)} belongs to executor ` +
          `${index}, but count is ${count}`,
      );
    }
    return index;
  }

  add(index: number): boolean {
    checkInteger('index', index, 0, INDEX_MAX);
    if (this.members.has(index)) return false;
    const entries = new Float64Array(this.entries.length + this.virtualNodes);
    entries.set(this.entries);
    this.place(entries, this.entries.length, index);
    this.members.add(index);
    this.layOut(entries.sort());
    return true;
  }

  remove(index: number): boolean {
    checkInteger('index', index, 0, INDEX_MAX);
    if (this.members.size === 0) {
      throw new RangeError('index cannot be removed from a ring to which none was added yet');
    }
    if (!this.members.has(index)) return false;
    if (this.members.size === 1) {
      throw new RangeError(`index must not be the last one on the ring, got ${index}`);
    }
    this.members.delete(index);
    this.layOut(this.entries.filter((entry) => entry % INDEX_SPAN !== index));
    return true;
  }

  /** Fills a ring that is empty. */
  addAll(count: number): void {
    checkInteger('count', count, 1, INDEX_MAX + 1);
    const entries = new Float64Array(count * this.virtualNodes);
    for (let index = 0; index < count; index++) {
      this.place(entries, index * this.virtualNodes, index);
      this.members.add(index);
    }
    this.layOut(entries.sort());
  }

  private place(entries: Float64Array, at: number, index: number): void {
    for (let node = 0; node < this.virtualNodes; node++) {
      const point = hashWords(node, index, this.seed ^ POINT_SEED) >>> 0;
      entries[at + node] = point * INDEX_SPAN + index;
    }
  }

  private layOut(entries: Float64Array): void {
    const count = entries.length;
    const points = new Uint32Array(count + 1);
    const owners = new Int32Array(count + 1);
    entries.forEach((entry, place) => {
      points[place] = Math.floor(entry / INDEX_SPAN);
      owners[place] = entry % INDEX_SPAN;
    });
    points[count] = 0xffff_ffff;
    owners[count] = owners[0];
    const bits = Math.min(24, Math.max(1, 32 - Math.clz32(count)));
    const shift = 32 - bits;
    const starts = new Int32Array(2 ** bits);
    for (let top = 0, place = 0; top < starts.length; top++) {
      while (place < count && points[place] >>> shift < top) place++;
      starts[top] = place;
    }
    this.entries = entries;
    this.points = points;
    this.owners = owners;
    this.starts = starts;
    this.shift = shift;
  }
}
