// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { xxHash32 } from 'js-xxhash';
import { expect, test } from 'vitest';
import { encodeText } from '../base/bytes.ts';
import { hashKey, reduceHash } from './key-hash.ts';
import type { Key } from './partitioner.ts';

const PRIME = 0x9e3779b1;

function unsigned(key: Key, seed = 0): number {
  return hashKey(key, seed | 0) >>> 0;
}

/** The bytes of an integer as the documentation says, written another way. */
function integerBytes(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let bits = 64;
  while (value < -(1n << BigInt(bits - 1)) || value >= 1n << BigInt(bits - 1)) bits += 64;
  let rest = value < 0n ? value + (1n << BigInt(bits)) : value;
  for (let i = 0; i < bits / 8; i++, rest /= 256n) bytes.push(Number(rest % 256n));
  return Uint8Array.from(bytes);
}

test('strings hash to the published values of xxHash32', () => {
  expect(unsigned('')).toBe(0x02cc5d05);
  expect(unsigned('', PRIME)).toBe(0x36b78ae7);
  expect(unsigned('a')).toBe(0x550d7456);
  expect(unsigned('abc')).toBe(0x32d153ff);
  expect(unsigned('Nobody inspects the spammish repetition')).toBe(0xe2293b2f);
});

test('a string and its UTF-8 bytes hash alike, whatever its length and characters', () => {
  const seed = fc.integer({ min: 0, max: 0xffff_ffff });
  const text = fc.oneof(
    fc.string({ unit: 'binary-ascii', maxLength: 30 }),
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.string({ unit: 'grapheme', maxLength: 300 }),
    fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 30 }).map((units) => {
      return String.fromCharCode(...units); // lone surrogates, too
    }),
  );
  fc.assert(
    fc.property(text, seed, (key, chosen) => {
      expect(unsigned(key, chosen)).toBe(unsigned(encodeText(key), chosen));
    }),
  );
  for (const length of [15, 16, 20, 21, 255, 256, 257, 1000]) {
    for (const unit of ['x', 'ü', '€', '\ud83d']) {
      const key = unit.repeat(length);
      expect(unsigned(key), key).toBe(unsigned(encodeText(key)));
    }
  }
});

test('bytes hash alike wherever they lie', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(64), 3, 40);
  shared.set(encodeText('orders.42.created'));
  const expected = unsigned('orders.42.created');
  expect(unsigned(shared.subarray(0, 17))).toBe(expected);
  expect(unsigned(Buffer.from('orders.42.created'))).toBe(expected);
});

test('an integer hashes alike as number and as bigint, in its two’s complement', () => {
  const edges = [31n, 32n, 33n, 53n, 62n, 63n, 64n, 65n, 127n, 128n].flatMap((bits) =>
    [-1n, 0n, 1n].flatMap((step) => [(1n << bits) + step, -(1n << bits) + step]),
  );
  const check = (value: bigint): void => {
    expect(unsigned(value), `${value}`).toBe(xxHash32(integerBytes(value)));
    if (BigInt(Number(value)) === value) expect(unsigned(Number(value))).toBe(unsigned(value));
  };
  for (const value of edges) check(value);
  fc.assert(fc.property(fc.bigInt(), check));
  fc.assert(fc.property(fc.maxSafeInteger(), (value) => check(BigInt(value))));
  fc.assert(fc.property(fc.integer(), (value) => check(BigInt(value))));
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, noInteger: false }), (value) =>
      check(BigInt(Math.trunc(value))),
    ),
  );
});

test('0 and -0 are one key; numbers that are no integers hash their IEEE 754 bytes', () => {
  expect(unsigned(-0)).toBe(unsigned(0));
  expect(unsigned(-0)).toBe(unsigned(0n));
  const view = new DataView(new ArrayBuffer(8));
  for (const value of [0.5, -1.25, Number.MIN_VALUE, Math.PI, Infinity, -Infinity]) {
    view.setFloat64(0, value, true);
    expect(unsigned(value)).toBe(xxHash32(new Uint8Array(view.buffer)));
  }
});

test('a digit string is not its number', () => {
  expect(unsigned('5')).not.toBe(unsigned(5));
});

test('what is no key is refused', () => {
  expect(() => hashKey(Number.NaN, 0)).toThrow(new RangeError('key must not be NaN'));
  for (const wrong of [undefined, null, {}, Symbol('x'), [1], new Uint16Array(1)]) {
    expect(() => hashKey(wrong as never, 0)).toThrow(
      /^key must be a number, bigint, string or Uint8Array, got /,
    );
  }
});

test('a reduced hash is below the count, also at the ends', () => {
  for (const count of [1, 2, 3, 1000, 0x7fff_ffff]) {
    expect(reduceHash(0, count)).toBe(0);
    expect(reduceHash(-1, count)).toBe(count - 1);
  }
});

test('keys of all kinds hash to the values of every release and every machine', () => {
  const keys: Key[] = [0, 1, -1, 1e10, 2 ** 64, 0.1, 7n, 10n ** 40n, 'order-17', 'größe', '漢字'];
  expect(keys.map((key) => unsigned(key).toString(16))).toMatchInlineSnapshot(`
    [
      "deb39513",
      "8ed6331",
      "c182c6d9",
      "d14f02fa",
      "565a9300",
      "6db9f396",
      "e944a45f",
      "bf8a73bd",
      "4157fb75",
      "aac372d7",
      "a99d1ab7",
    ]
  `);
});
