// SPDX-License-Identifier: MIT
/** What decides which executor a key belongs to. */

import { show } from '../base/check.ts';

/**
 * What a packet belongs to: packets of one key go to one executor, in order.
 *
 * `5` and `5n` are the same key, as are `0` and `-0`. `NaN` is not a key.
 */
export type Key = number | bigint | string | Uint8Array;

/**
 * Maps keys to executors.
 *
 * **Threads** a partitioner belongs to one thread. All in this folder but round robin and custom
 * return the same index on every thread, process and machine that creates them with the same
 * arguments.
 */
export interface Partitioner {
  /** The executor for `key`, an integer in `[0, count)`; `count` is how many there are. */
  partition(key: Key, count: number): number;
}

const COUNT_MAX = 0x7fff_ffff;

/** Throws unless `count` is valid; every partitioner calls it first. */
export function checkCount(count: number): void {
  if (typeof count === 'number' && (count | 0) === count && count >= 1) return;
  const expected = `an integer from 1 to ${COUNT_MAX}`;
  if (typeof count === 'number') {
    throw new RangeError(`count must be ${expected}, got ${show(count)}`);
  }
  throw new TypeError(`count must be ${expected}, got ${show(count)}`);
}

/**
 * Checks the index that a custom partitioner has chosen; -0 becomes 0.
 *
 * **Throws** a RangeError naming `author`, key and value if it is not an integer in `[0, count)`.
 */
export function checkIndex(author: string, index: unknown, key: Key, count: number): number {
  if (typeof index === 'number') {
    const whole = index | 0;
    if (whole === index && whole >= 0 && whole < count) return whole;
  }
  const expected = `an integer from 0 to ${count - 1}`;
  throw new RangeError(
    `${author} must return ${expected}, got ${show(index)} for the key ${showKey(key)}`,
  );
}

/** Shows a key in an error message, with the first few of its bytes. */
export function showKey(key: unknown): string {
  if (!(key instanceof Uint8Array)) return show(key);
  const shown = [...key.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, '0'));
  return `bytes <${shown.join(' ')}${key.length > 16 ? ' …' : ''}>`;
}

/** Throws for a value that is not a key. */
export function badKey(key: unknown): never {
  if (typeof key === 'number') throw new RangeError('key must not be NaN');
  throw new TypeError(`key must be a number, bigint, string or Uint8Array, got ${show(key)}`);
}
