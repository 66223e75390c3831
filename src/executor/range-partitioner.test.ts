// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Key } from './partitioner.ts';
import { type RangeBounds, rangePartitioner } from './range-partitioner.ts';

test('keys that lie side by side go to one executor', () => {
  const partitioner = rangePartitioner([10, 20]);
  const at = (key: Key): number => partitioner.partition(key, 3);
  expect([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(at)).toEqual(new Array(10).fill(0));
  expect([10, 15, 19.999].map(at)).toEqual([1, 1, 1]);
  expect([20, 21, 1e300, Infinity].map(at)).toEqual([2, 2, 2, 2]);
  expect([-Infinity, -0, 9n, 10n, 20n].map(at)).toEqual([0, 0, 0, 1, 2]);
});

test('more ranges than executors is an error, never an index out of range', () => {
  const partitioner = rangePartitioner([10, 20, 30]);
  const expected = new RangeError('count must be at least the number of ranges, 4, got 3');
  for (const key of [0, 10, 35]) expect(() => partitioner.partition(key, 3)).toThrow(expected);
  const strings = rangePartitioner(['b', 'c']);
  expect(() => strings.partition('a', 2)).toThrow('the number of ranges, 3, got 2');
});

test('executors beyond the ranges get nothing', () => {
  expect(rangePartitioner([0]).partition(5, 8)).toBe(1);
});

const text = (value: Uint8Array): string => [...value].map((b) => String.fromCharCode(b)).join('');

const kinds: Record<string, { bounds: fc.Arbitrary<Key>; below: (a: Key, b: Key) => boolean }> = {
  numbers: { bounds: fc.double({ noNaN: true }), below: (a, b) => a < b },
  bigints: { bounds: fc.bigInt(), below: (a, b) => a < b },
  strings: { bounds: fc.string({ unit: 'binary' }), below: (a, b) => a < b },
  bytes: {
    bounds: fc.uint8Array(),
    below: (a, b) => text(a as Uint8Array) < text(b as Uint8Array),
  },
};

test.each(Object.entries(kinds))(
  '%s: the index is the number of bounds not above the key',
  (_name, { bounds, below }) => {
    fc.assert(
      fc.property(fc.array(bounds, { maxLength: 20 }), fc.array(bounds), (cuts, keys) => {
        const sorted = [...cuts].sort((a, b) => (below(a, b) ? -1 : below(b, a) ? 1 : 0));
        const ascending = sorted.filter((cut, i) => i === 0 || below(sorted[i - 1] as Key, cut));
        const partitioner = rangePartitioner(ascending as RangeBounds);
        for (const key of [...keys, ...cuts]) {
          const expected = ascending.filter((bound) => !below(key, bound)).length;
          expect(partitioner.partition(key, ascending.length + 1)).toBe(expected);
        }
      }),
    );
  },
);

test('strings are ordered by UTF-16 code units, bytes by value with prefixes first', () => {
  const strings = rangePartitioner(['\uffff']);
  expect(strings.partition('\u{1f600}', 2)).toBe(0); // begins with the unit d83d
  const bytes = rangePartitioner([Uint8Array.of(1), Uint8Array.of(1, 0), Uint8Array.of(0x80)]);
  const at = (...key: number[]): number => bytes.partition(Uint8Array.from(key), 4);
  expect([at(), at(0, 9), at(1), at(1, 0), at(1, 0, 0), at(2), at(0xff)]).toEqual([
    0, 0, 1, 2, 2, 2, 3,
  ]);
});

test('bounds and numbers beyond 2⁵³ compare exactly', () => {
  const partitioner = rangePartitioner([2n ** 53n, 2n ** 53n + 1n]);
  expect(partitioner.partition(2 ** 53 - 1, 3)).toBe(0);
  expect(partitioner.partition(2 ** 53, 3)).toBe(1);
  expect(partitioner.partition(2n ** 53n + 1n, 3)).toBe(2);
});

test('bounds are copied', () => {
  const bound = Uint8Array.of(5);
  const bounds = [bound];
  const partitioner = rangePartitioner(bounds);
  bound[0] = 200;
  bounds.push(Uint8Array.of(201));
  expect(partitioner.partition(Uint8Array.of(7), 2)).toBe(1);
});

test('bounds out of order, of several kinds, or of none are refused', () => {
  expect(() => rangePartitioner([10, 10])).toThrow(
    new RangeError('bounds[1] must be above bounds[0], 10, got 10'),
  );
  expect(() => rangePartitioner([0, -0])).toThrow(RangeError);
  expect(() => rangePartitioner(['b', 'a'])).toThrow('bounds[1] must be above bounds[0], "b"');
  expect(() => rangePartitioner([Uint8Array.of(2), Uint8Array.of(1, 9)])).toThrow(RangeError);
  expect(() => rangePartitioner([1, Number.NaN])).toThrow('bounds[1] must not be NaN');
  expect(() => rangePartitioner([1, 2n] as never)).toThrow(
    new TypeError('bounds[1] must be of the kind of bounds[0], got 2n'),
  );
  expect(() => rangePartitioner([{}] as never)).toThrow(TypeError);
  expect(() => rangePartitioner([undefined] as never)).toThrow(TypeError);
  expect(() => rangePartitioner(new Array(2) as never)).toThrow(TypeError);
  expect(() => rangePartitioner(7 as never)).toThrow('bounds must be an array, got 7');
});

test('keys of another kind than the bounds are refused', () => {
  const numbers = rangePartitioner([1]);
  expect(() => numbers.partition('1', 2)).toThrow(
    new TypeError('key must be a number or bigint, as the bounds are, got "1"'),
  );
  expect(() => numbers.partition(Number.NaN, 2)).toThrow('key must not be NaN');
  const strings = rangePartitioner(['m']);
  expect(() => strings.partition(1, 2)).toThrow('key must be a string, as the bounds are, got 1');
  expect(() => strings.partition(Uint8Array.of(1), 2)).toThrow(TypeError);
  expect(() => rangePartitioner([]).partition({} as never, 2)).toThrow(TypeError);
});
