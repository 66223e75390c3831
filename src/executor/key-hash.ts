// SPDX-License-Identifier: MIT
/**
 * A 32-bit hash for every key, the same on every machine.
 *
 * It is xxHash32 of the key's bytes:
 *
 * - of a string: its UTF-8 bytes, so a string and its bytes hash alike. A lone surrogate counts as
 *   U+FFFD, as in TextEncoder;
 * - of an integer, as number or bigint: two's complement, little-endian, in 8 bytes, or in as many
 *   times 8 as it needs;
 * - of any other number: its 8 bytes of IEEE 754, little-endian.
 */

import { checkInteger } from '../base/check.ts';
import { isBytes, lengthOf } from '../base/views.ts';
import { badKey, type Key } from './partitioner.ts';
import { hashBytes, hashWords } from './xxhash32.ts';

/** The default seed; fixed, because keys must not move. */
const HASH_SEED = 0;

const TWO_32 = 0x1_0000_0000;
const TWO_63 = 2 ** 63;

/** Up to this length a loop over the characters is faster than a call of TextEncoder (100 ns). */
const LOOP_CHARS_MAX = 20;

/** Strings up to this length use the static scratch: a UTF-16 unit has at most 3 UTF-8 bytes. */
const SCRATCH_CHARS_MAX = 256;

const scratch = new Uint8Array(3 * SCRATCH_CHARS_MAX);
const scratchView = new DataView(scratch.buffer);
const encoder = new TextEncoder();

/** The option `seed` of partitioners, which is 32 bits. **Throws** RangeError. */
export function resolveSeed(seed: number = HASH_SEED): number {
  return checkInteger('seed', seed, 0, TWO_32 - 1) | 0;
}

/**
 * 32 bits of hash as a signed integer.
 *
 * **Cost** 3 ns for 32-bit integers, up to 40 for bigints, some 6 ns a character for strings up to
 * 20, bytes as `hashBytes`. Allocates nothing for these; for longer strings and those beyond ASCII
 * what TextEncoder does, and beyond 256 characters their bytes.
 * **Throws** a RangeError for NaN, a TypeError for a value that is not a key.
 */
export function hashKey(key: Key, seed: number): number {
  if (typeof key === 'number') {
    if ((key | 0) === key) return hashWords(key, key >> 31, seed);
    return hashNumber(key, seed);
  }
  if (typeof key === 'string') return hashString(key, seed);
  if (isBytes(key)) return hashBytes(key, lengthOf(key), seed);
  if (typeof key === 'bigint') return hashBigint(key, seed);
  return badKey(key);
}

/** An integer in `[0, count)` from 32 bits of hash: the high half of their product. Without a
 * remainder, no index is favoured by more than one part in 2³² / count. */
export function reduceHash(hash: number, count: number): number {
  return Math.floor(((hash >>> 0) * count) / TWO_32);
}

function hashNumber(key: number, seed: number): number {
  if (Math.floor(key) !== key || !Number.isFinite(key)) {
    if (Number.isNaN(key)) badKey(key);
    scratchView.setFloat64(0, key, true);
    return hashWords(scratchView.getInt32(0, true), scratchView.getInt32(4, true), seed);
  }
  if (key < -TWO_63 || key >= TWO_63) return hashBigint(BigInt(key), seed);
  const high = Math.floor(key / TWO_32); // exact, as is the next: both only move the exponent
  return hashWords((key - high * TWO_32) | 0, high | 0, seed);
}

function hashBigint(key: bigint, seed: number): number {
  const rounded = Number(key);
  if (Number.isSafeInteger(rounded)) {
    const high = Math.floor(rounded / TWO_32);
    return hashWords((rounded - high * TWO_32) | 0, high | 0, seed);
  }
  if (BigInt.asIntN(64, key) === key) {
    scratchView.setBigInt64(0, key, true);
    return hashWords(scratchView.getInt32(0, true), scratchView.getInt32(4, true), seed);
  }
  const bytes = bytesOfBigint(key);
  return hashBytes(bytes, bytes.length, seed);
}

/** Two's complement, little-endian, in as many words of 8 bytes as the number and its sign need. */
function bytesOfBigint(key: bigint): Uint8Array {
  const words: bigint[] = [];
  let rest = key;
  while (BigInt.asIntN(64, rest) !== rest) {
    words.push(BigInt.asUintN(64, rest));
    rest >>= 64n;
  }
  words.push(rest);
  const bytes = new Uint8Array(8 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => {
    view.setBigInt64(8 * index, word, true);
  });
  return bytes;
}

function hashString(key: string, seed: number): number {
  const length = key.length;
  if (length > SCRATCH_CHARS_MAX) {
    const own = encoder.encode(key);
    return hashBytes(own, own.length, seed);
  }
  const bytes = scratch;
  if (length <= LOOP_CHARS_MAX) {
    let i = 0;
    for (; i < length; i++) {
      const unit = key.charCodeAt(i);
      if (unit > 0x7f) break;
      bytes[i] = unit;
    }
    if (i === length) return hashBytes(bytes, length, seed);
  }
  return hashBytes(bytes, encoder.encodeInto(key, bytes).written, seed);
}
