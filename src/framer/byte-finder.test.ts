// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { ByteFinder } from './byte-finder.ts';

test('finds what indexOf finds, whatever the range, the alignment and the memory', () => {
  const random = new Random(20261120);
  for (let round = 0; round < 20_000; round++) {
    const size = random.below(80);
    const memory = random.chance(0.5) ? new SharedArrayBuffer(90) : new ArrayBuffer(90);
    const bytes = new Uint8Array(memory, random.below(10), size);
    // Few different values: neighbours of the one looked for produce false bits above a true one.
    const wanted = [0, 1, 0x0a, 0x7f, 0x80, 0xff][random.below(6)];
    for (let i = 0; i < size; i++) {
      bytes[i] = random.chance(0.02) ? wanted : wanted ^ [1, 2, 0x80, 0xff][random.below(4)];
    }
    const begin = random.below(size + 1);
    const end = random.between(begin, size);
    const found = bytes.subarray(begin, end).indexOf(wanted);
    expect(new ByteFinder(wanted).find(bytes, begin, end)).toBe(found < 0 ? -1 : begin + found);
  }
});

test('goes on correctly when it is given other memory', () => {
  const finder = new ByteFinder(7);
  const first = new Uint8Array(100);
  const second = new Uint8Array(100);
  first[60] = 7;
  second[50] = 7;
  expect([first, second, first].map((bytes) => finder.find(bytes, 3, 97))).toEqual([60, 50, 60]);
});

test('looks only for a byte', () => {
  expect(() => new ByteFinder(256)).toThrow(RangeError);
  expect(() => new ByteFinder('\n' as never)).toThrow(TypeError);
});
