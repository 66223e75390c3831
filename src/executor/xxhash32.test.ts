// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { xxHash32 } from 'js-xxhash';
import { expect, test } from 'vitest';
import { hashBytes, hashWords } from './xxhash32.ts';

const PRIME = 0x9e3779b1;

test('the hash passes the sanity check of its authors', () => {
  const bytes = new Uint8Array(222);
  let state = 2654435761n;
  const factor = 11400714785074694797n;
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = Number(state >> 56n);
    state = BigInt.asUintN(64, state * factor);
  }
  const expected: readonly (readonly [number, number, number])[] = [
    [0, 0x02cc5d05, 0x36b78ae7],
    [1, 0xcf65b03e, 0xb4545aa4],
    [14, 0x1208e7e2, 0x6af1d1fe],
    [222, 0x5bd11dbd, 0x58803c5f],
  ];
  for (const [length, plain, seeded] of expected) {
    expect(hashBytes(bytes, length, 0) >>> 0).toBe(plain);
    expect(hashBytes(bytes, length, PRIME | 0) >>> 0).toBe(seeded);
  }
});

test('bytes hash as in the package js-xxhash', () => {
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 200 });
  fc.assert(
    fc.property(bytes, fc.integer(), fc.nat(200), (source, seed, end) => {
      const used = Math.min(end, source.length);
      const expected = xxHash32(source.subarray(0, used), seed);
      expect(hashBytes(source, used, seed) >>> 0).toBe(expected);
    }),
    { numRuns: 2000 },
  );
});

test('the unrolled hash of two words is that of their eight bytes', () => {
  const word = fc.integer();
  fc.assert(
    fc.property(word, word, word, (low, high, seed) => {
      const bytes = new Uint8Array(Int32Array.of(low, high).buffer);
      expect(hashWords(low, high, seed) >>> 0).toBe(xxHash32(bytes, seed));
    }),
  );
});
