// SPDX-License-Identifier: MIT
/**
 * Example statsd: a hash table of what one executor has gathered since the last flush, of fixed
 * size.
 *
 *   hash of kind, parent, mark, key ──▶ index ──▶ slot ──▶ numbers (NUMBERS_MAX each)
 *                                                     └──▶ key: name and tags, or a set's member
 *
 *   kind            parent          mark                     key
 *   COUNTER …SET    −1              bytes of the name        name and tags as received
 *   MEMBER          the set's slot  0                        the value
 *   BUCKET          the timer's     the bucket's number      –
 *
 * A parent has a smaller slot than its children. Each flush frees all slots, so the table need not
 * know which ones are still in use. If there is no slot, or no room for the key, the value is
 * refused and counted.
 */

import { bucketOf } from './buckets.ts';
import type { Bytes, LineParser } from './line-parser.ts';
import {
  BUCKET,
  COUNTER,
  GAUGE,
  type Kind,
  LEAST,
  LEVEL,
  MEMBER,
  MOST,
  NUMBERS_MAX,
  SET,
  SET_AT,
  SUM,
  WEIGHT,
} from './metric-kinds.ts';
import { addValue, clamp } from './moments.ts';

/** Bytes of keys per slot, on average. */
const KEY_BYTES = 64;
/** Parent of a metric. */
export const NO_PARENT: number = -1;
const NO_SLOT = -1;

export class MetricTable {
  readonly capacity: number;
  /** Slots in use: the first `count`. */
  count: number = 0;
  /** Values without a slot. */
  refused: number = 0;
  readonly kinds: Uint8Array;
  readonly parents: Int32Array;
  readonly marks: Int32Array;
  readonly keyBegins: Int32Array;
  readonly keyLengths: Int32Array;
  readonly keys: Uint8Array;
  readonly numbers: Float64Array;
  private readonly hashes: Int32Array;
  /** Slot + 1 by hash; 0: none. */
  private readonly index: Int32Array;
  private readonly seed: number;
  private keyEnd: number = 0;

  /** A random `seed` keeps clients from constructing keys that collide. */
  constructor(capacity: number, seed: number) {
    this.capacity = capacity;
    this.seed = seed | 0;
    this.kinds = new Uint8Array(capacity);
    this.parents = new Int32Array(capacity);
    this.marks = new Int32Array(capacity);
    this.hashes = new Int32Array(capacity);
    this.keyBegins = new Int32Array(capacity);
    this.keyLengths = new Int32Array(capacity);
    this.keys = new Uint8Array(capacity * KEY_BYTES);
    this.numbers = new Float64Array(capacity * NUMBERS_MAX);
    this.index = new Int32Array(2 ** Math.ceil(Math.log2(2 * capacity)));
  }

  /**
   * Adds the values of a line that was parsed from `bytes`. `nowMs`: the time, for gauges.
   *
   * **Cost** no allocation.
   */
  add(line: LineParser, bytes: Bytes, nowMs: number): void {
    const { kind, nameBegin, nameEnd, tagsBegin, tagsEnd } = line;
    const length = nameEnd - nameBegin;
    const slot = this.find(kind, NO_PARENT, length, bytes, nameBegin, nameEnd, tagsBegin, tagsEnd);
    if (slot === NO_SLOT) {
      this.refused += kind === SET ? 1 : line.valueCount;
    } else if (kind === SET) {
      const { memberBegin, memberEnd } = line;
      const at = this.find(MEMBER, slot, 0, bytes, memberBegin, memberEnd, memberEnd, memberEnd);
      if (at === NO_SLOT) this.refused++;
    } else {
      for (let i = 0; i < line.valueCount; i++) this.addValue(kind, slot, line, i, nowMs);
    }
  }

  /** Frees all slots. */
  clear(): void {
    this.index.fill(0);
    this.numbers.fill(0, 0, this.count * NUMBERS_MAX);
    this.count = 0;
    this.keyEnd = 0;
    this.refused = 0;
  }

  private addValue(kind: Kind, slot: number, line: LineParser, i: number, nowMs: number): void {
    const { numbers } = this;
    const { values, weight } = line;
    const at = slot * NUMBERS_MAX;
    if (kind === COUNTER) {
      numbers[at + SUM] += values[i] * weight[0];
      if (Math.abs(numbers[at + SUM]) === Infinity) clamp(numbers, at + SUM);
    } else if (kind === GAUGE) {
      if (line.changes[i] === 1) {
        numbers[at + LEVEL] += values[i];
        if (Math.abs(numbers[at + LEVEL]) === Infinity) clamp(numbers, at + LEVEL);
      } else {
        numbers[at + LEVEL] = values[i];
        numbers[at + SET_AT] = nowMs;
      }
    } else {
      this.addTime(slot, line, i);
    }
  }

  private addTime(slot: number, line: LineParser, i: number): void {
    const { numbers } = this;
    const { values, weight } = line;
    const { keys } = this;
    const bucket = this.find(BUCKET, slot, bucketOf(values[i]), keys, 0, 0, 0, 0);
    if (bucket === NO_SLOT) {
      this.refused++;
      return;
    }
    const inBucket = bucket * NUMBERS_MAX + SUM;
    numbers[inBucket] += weight[0];
    if (Math.abs(numbers[inBucket]) === Infinity) clamp(numbers, inBucket);
    const at = slot * NUMBERS_MAX;
    const isFirst = numbers[at + WEIGHT] === 0;
    if (isFirst || values[i] < numbers[at + LEAST]) numbers[at + LEAST] = values[i];
    if (isFirst || values[i] > numbers[at + MOST]) numbers[at + MOST] = values[i];
    numbers[at + SUM] += values[i] * weight[0];
    if (Math.abs(numbers[at + SUM]) === Infinity) clamp(numbers, at + SUM);
    addValue(numbers, at, values, i, weight);
  }

  /** The slot of a key in two pieces; takes one if the key is new. −1: no room. */
  private find(
    kind: Kind,
    parent: number,
    mark: number,
    bytes: Bytes,
    begin: number,
    end: number,
    moreBegin: number,
    moreEnd: number,
  ): number {
    const { index, hashes } = this;
    let hash = Math.imul(this.seed ^ kind ^ (parent << 3), 0x9e3779b1) ^ mark;
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca77);
    for (let at = begin; at < end; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193);
    for (let at = moreBegin; at < moreEnd; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193);
    hash ^= hash >>> 15;
    const mask = index.length - 1;
    let place = hash & mask;
    for (; index[place] !== 0; place = (place + 1) & mask) {
      const slot = index[place] - 1;
      if (hashes[slot] !== hash || this.kinds[slot] !== kind) continue;
      if (this.parents[slot] !== parent || this.marks[slot] !== mark) continue;
      if (this.hasKey(slot, bytes, begin, end, moreBegin, moreEnd)) return slot;
    }
    const length = end - begin + moreEnd - moreBegin;
    if (this.count === this.capacity || this.keyEnd + length > this.keys.length) return NO_SLOT;
    const slot = this.count++;
    index[place] = slot + 1;
    hashes[slot] = hash;
    this.kinds[slot] = kind;
    this.parents[slot] = parent;
    this.marks[slot] = mark;
    this.keyBegins[slot] = this.keyEnd;
    this.keyLengths[slot] = length;
    for (let at = begin; at < end; at++) this.keys[this.keyEnd++] = bytes[at];
    for (let at = moreBegin; at < moreEnd; at++) this.keys[this.keyEnd++] = bytes[at];
    return slot;
  }

  private hasKey(
    slot: number,
    bytes: Bytes,
    begin: number,
    end: number,
    moreBegin: number,
    moreEnd: number,
  ): boolean {
    const { keys } = this;
    if (this.keyLengths[slot] !== end - begin + moreEnd - moreBegin) return false;
    let own = this.keyBegins[slot];
    for (let at = begin; at < end; at++) if (keys[own++] !== bytes[at]) return false;
    for (let at = moreBegin; at < moreEnd; at++) if (keys[own++] !== bytes[at]) return false;
    return true;
  }
}
