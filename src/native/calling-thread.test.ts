// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { cpusOf, maskOf, setAffinity, setThreadName } from './calling-thread.ts';

describe('masks', () => {
  test('a cpu is a bit, counted from the first byte on', () => {
    expect([...maskOf([0, 1, 9], 'LE')]).toEqual([3, 2, 0, 0, 0, 0, 0, 0]);
    expect([...maskOf([0, 1, 9], 'BE')]).toEqual([0, 0, 0, 0, 0, 0, 2, 3]);
  });

  test('a mask is as long as its last cpu needs, in whole words of the kernel', () => {
    expect(maskOf([63]).length).toBe(8);
    expect(maskOf([64]).length).toBe(16);
    expect(maskOf([1023]).length).toBe(128);
    expect(maskOf([1024]).length).toBe(136);
    expect(maskOf([100_000]).length).toBe(12_504);
  });

  test('any set of cpus comes back from its mask, on machines of either kind', () => {
    const seed = 20_261_120;
    const random = new Random(seed);
    for (let round = 0; round < 200; round++) {
      const cpus = Array.from({ length: 1 + random.below(40) }, () => random.below(5000));
      const sorted = [...new Set(cpus)].sort((a, b) => a - b);
      for (const order of ['LE', 'BE'] as const) {
        expect(cpusOf(maskOf(cpus, order), order), `seed ${seed} round ${round}`).toEqual(sorted);
      }
    }
  });
});

describe('misuse is refused, with or without the shim', () => {
  test('cpus are an array of at least one whole number from 0 on', () => {
    const set = (cpus: unknown) => () => setAffinity(cpus as number[]);
    expect(set(undefined)).toThrow(TypeError);
    expect(set('0')).toThrow(/cpus must be an array, got "0"/);
    expect(set(['0'])).toThrow(TypeError);
    expect(set([])).toThrow(/cpus must name at least one cpu/);
    expect(set([-1])).toThrow(RangeError);
    expect(set([0.5])).toThrow(RangeError);
    expect(set([2 ** 20])).toThrow(RangeError);
  });

  test('a name is a string without zero characters', () => {
    expect(() => setThreadName(7 as never)).toThrow(/name must be a string, got 7/);
    expect(() => setThreadName('a\0b')).toThrow(/zero character/);
  });
});
