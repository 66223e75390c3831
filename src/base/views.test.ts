// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { copyForeign } from './bytes.ts';
import { checkBytes, checkOptions, checkRange, checkWords, copyArray } from './check.ts';
import { copyOf, isBytes, isWords, lengthOf, wordsOf } from './views.ts';

class Lying extends Uint8Array {
  override get length(): number {
    return 1_000;
  }
  override slice(): never {
    throw new Error('slice was called');
  }
  override [Symbol.iterator](): never {
    throw new Error('the iterator was called');
  }
  override get [Symbol.toStringTag](): never {
    throw new Error('the tag was asked for');
  }
}

test('typed arrays are told by what is inside, not by what they say', () => {
  expect(isBytes(new Lying(3))).toBe(true);
  expect(isBytes(Buffer.alloc(1))).toBe(true);
  expect(lengthOf(new Lying(3))).toBe(3);
  expect([...copyOf(new Lying([1, 2]))]).toEqual([1, 2]);
  const imitations: readonly unknown[] = [
    new Proxy(new Uint8Array(3), { get: (target, key) => Reflect.get(target, key) }),
    Object.create(Uint8Array.prototype),
    Object.setPrototypeOf(new DataView(new ArrayBuffer(8)), Uint8Array.prototype),
    { [Symbol.toStringTag]: 'Uint8Array', length: 3 },
    null,
    undefined,
  ];
  for (const value of imitations) {
    expect(isBytes(value)).toBe(false);
    expect(() => checkBytes('source', value)).toThrow(/^source must be a Uint8Array, got/);
  }
  const words = new Proxy(new Int32Array(3), {});
  expect(isWords(words)).toBe(false);
  expect(() => checkWords('target', words)).toThrow(/^target must be an Int32Array, got/);
});

test('what has lost its memory has no elements', () => {
  const bytes = new Uint8Array(8);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  expect(lengthOf(bytes)).toBe(0);
});

test('a shared block is one of whole words that cannot grow', () => {
  expect(wordsOf(new SharedArrayBuffer(8))?.length).toBe(2);
  const growable = Reflect.construct(SharedArrayBuffer, [8, { maxByteLength: 16 }]);
  const none: readonly unknown[] = [
    new SharedArrayBuffer(7),
    growable,
    new ArrayBuffer(8),
    new Proxy(new SharedArrayBuffer(8), {}),
    Object.create(SharedArrayBuffer.prototype),
    {},
    undefined,
  ];
  for (const value of none) expect(wordsOf(value)).toBeUndefined();
});

test('a range is two integers in order, and nothing that could become one', () => {
  expect(() => checkRange(0, 0, 0)).not.toThrow();
  expect(() => checkRange(2, 5, 5)).not.toThrow();
  const no: readonly unknown[] = ['', '3', null, NaN, 1n, 1.5, -1, 6, 2 ** 32, true, [], Infinity];
  const objects: readonly unknown[] = [{ valueOf: () => 0 }, { [Symbol.toPrimitive]: () => 0 }];
  for (const value of [...no, ...objects, undefined, Symbol('s')]) {
    expect(() => checkRange(0, value, 5)).toThrow(/^end must be an integer from 0 to 5, got/);
    expect(() => checkRange(value, 5, 5)).toThrow(/^begin must be an integer from 0 to 5, got/);
  }
  expect(() => checkRange(3, 2, 5)).toThrow(RangeError);
});

test('options and arrays are read once', () => {
  let reads = 0;
  const options = checkOptions(
    'options',
    {
      get count() {
        return ++reads;
      },
    },
    ['count', 'size'],
  );
  expect([options.count, options.count, reads]).toEqual([1, 1, 1]);
  expect(Object.keys(options)).toEqual(['count']);
  const array = [0];
  Object.defineProperty(array, 0, { get: () => ++reads });
  array[Symbol.iterator] = () => {
    throw new Error('the iterator was called');
  };
  const copy = copyArray('cuts', array);
  expect([copy[0], copy[0], reads]).toEqual([2, 2, 2]);
  const endless = new Proxy([], { get: () => 2 ** 40 });
  expect(() => copyArray('cuts', endless)).toThrow(/^cuts.length must be an integer/);
});

class Loose extends Uint8Array {
  override subarray(): never {
    return new Uint8Array(300).fill(0xee) as never;
  }

  static get [Symbol.species](): never {
    return function longer() {
      return new Uint8Array(300).fill(0xee);
    } as never;
  }
}

test('a copy writes its range only, whatever the source says of its parts and length', () => {
  for (const count of [10, 50]) {
    const short = Object.defineProperty(new Uint8Array(90).fill(7), 'length', { value: count });
    for (const source of [new Loose(90).fill(7), short]) {
      for (const begin of [0, 10]) {
        const target = new Uint8Array(200);
        copyForeign(target, 60, source, begin, begin + count);
        expect([...target.entries()].filter(([, byte]) => byte !== 0).length).toBe(count);
        expect(target.slice(60, 60 + count).every((byte) => byte === 7)).toBe(true);
      }
    }
  }
  const long = Object.defineProperty(new Uint8Array(30), 'length', { value: 100 });
  const target = new Uint8Array(200).fill(1);
  expect(() => copyForeign(target, 0, long, 0, 100)).toThrow(/^end must be at most 30, got 100/);
  expect(target.every((byte) => byte === 1)).toBe(true);
});
