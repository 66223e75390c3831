// SPDX-License-Identifier: MIT
/** A partitioner that gives neighbouring keys to one executor. */

import { copyArray, show } from '../base/check.ts';
import { copyOf, isBytes, lengthOf } from '../base/views.ts';
import { badKey, checkCount, type Key, type Partitioner, showKey } from './partitioner.ts';

/** Bounds of one kind: all numbers, all bigints, all strings, or all bytes. */
export type RangeBounds =
  | readonly number[]
  | readonly bigint[]
  | readonly string[]
  | readonly Uint8Array[];

/**
 * Cuts the keys into ranges at strictly ascending bounds, which are copied. A bound begins the
 * range after it: `[10, 20]` makes the ranges below 10, `[10, 20)`, and from 20 on, for the
 * executors 0, 1 and 2.
 *
 * Keys are of the bounds' kind; number and bigint compare with each other. Strings are ordered by
 * UTF-16 code units, as `<` does; bytes as unsigned bytes, a prefix before what it begins. The two
 * orders differ for characters beyond U+FFFF. With more ranges than `count`, `partition` throws a
 * RangeError.
 *
 * **Cost** log₂(bounds) comparisons; allocates nothing.
 * **Throws** a TypeError for bounds of several kinds, a RangeError for bounds out of order.
 */
export function rangePartitioner(bounds: RangeBounds): Partitioner {
  const copies = copyArray('bounds', bounds as readonly Key[]).map(copyBound);
  const first = copies[0];
  if (first === undefined) return new Everything();
  const kind = kindOf(first);
  copies.forEach((bound, i) => {
    if (kindOf(bound) !== kind) {
      throw new TypeError(`bounds[${i}] must be of the kind of bounds[0], got ${showKey(bound)}`);
    }
    const before = copies[i - 1];
    if (before !== undefined && !isBelow(before, bound)) {
      throw new RangeError(
        `bounds[${i}] must be above bounds[${i - 1}], ${showKey(before)}, got ${showKey(bound)}`,
      );
    }
  });
  return kind === 'number'
    ? new NumberRanges(Float64Array.from(copies as number[]))
    : new OrderedRanges(copies);
}

/** Without bounds all keys are of one range, whatever their kind. */
class Everything implements Partitioner {
  partition(key: Key, count: number): number {
    checkCount(count);
    kindOf(key);
    return 0;
  }
}

class NumberRanges implements Partitioner {
  private readonly bounds: Float64Array;

  constructor(bounds: Float64Array) {
    this.bounds = bounds;
  }

  partition(key: Key, count: number): number {
    const bounds = this.bounds;
    checkCount(count);
    if (bounds.length >= count) tooManyRanges(bounds.length, count);
    if ((typeof key !== 'number' && typeof key !== 'bigint') || Number.isNaN(key)) {
      badKind(key, 'a number or bigint');
    }
    let begin = 0;
    let end = bounds.length;
    while (begin < end) {
      const middle = (begin + end) >>> 1;
      if ((key as number) < bounds[middle]) end = middle;
      else begin = middle + 1;
    }
    return begin;
  }
}

class OrderedRanges implements Partitioner {
  private readonly bounds: readonly Key[];
  private readonly kind: string;

  constructor(bounds: readonly Key[]) {
    this.bounds = bounds;
    this.kind = orderOf(bounds[0] as Key);
  }

  partition(key: Key, count: number): number {
    const bounds = this.bounds;
    checkCount(count);
    if (bounds.length >= count) tooManyRanges(bounds.length, count);
    if (orderOf(key) !== this.kind) badKind(key, this.kind);
    let begin = 0;
    let end = bounds.length;
    while (begin < end) {
      const middle = (begin + end) >>> 1;
      if (isBelow(key, bounds[middle] as Key)) end = middle;
      else begin = middle + 1;
    }
    return begin;
  }
}

/** The kind of a key, which must be one. */
function kindOf(key: Key): 'number' | 'bigint' | 'string' | 'bytes' {
  if (typeof key === 'number' && !Number.isNaN(key)) return 'number';
  if (typeof key === 'bigint') return 'bigint';
  if (typeof key === 'string') return 'string';
  if (isBytes(key)) return 'bytes';
  return badKey(key);
}

/** What a key can be compared with, in words. */
function orderOf(key: Key): 'a number or bigint' | 'a string' | 'a Uint8Array' {
  const kind = kindOf(key);
  if (kind === 'string') return 'a string';
  return kind === 'bytes' ? 'a Uint8Array' : 'a number or bigint';
}

function isBelow(a: Key, b: Key): boolean {
  return isBytes(a) ? compareBytes(a, b as Uint8Array) < 0 : a < b;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const aLength = lengthOf(a);
  const bLength = lengthOf(b);
  const count = Math.min(aLength, bLength);
  for (let i = 0; i < count; i++) {
    const difference = a[i] - b[i];
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

function copyBound(bound: Key, i: number): Key {
  if (Number.isNaN(bound)) throw new RangeError(`bounds[${i}] must not be NaN`);
  if (isBytes(bound)) return copyOf(bound);
  if (typeof bound === 'number' || typeof bound === 'bigint' || typeof bound === 'string') {
    return bound;
  }
  throw new TypeError(
    `bounds[${i}] must be a number, bigint, string or Uint8Array, got ${show(bound)}`,
  );
}

function tooManyRanges(boundCount: number, count: number): never {
  throw new RangeError(
    `count must be at least the number of ranges, ${boundCount + 1}, got ${count}`,
  );
}

function badKind(key: Key, expected: string): never {
  kindOf(key);
  throw new TypeError(`key must be ${expected}, as the bounds are, got ${showKey(key)}`);
}
