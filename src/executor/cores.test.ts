// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import type { CpuInfo, Topology } from '../native/index.ts';
import { topology } from '../native/index.ts';
import { coreOrder, resolveCount, resolvePin } from './cores.ts';

/** A machine whose cpus are in these cores, by number. */
function machine(...cores: number[][]): Topology {
  const allowed = cores
    .flatMap((siblings): CpuInfo[] =>
      siblings.map((cpu) => ({ cpu, core: siblings[0] ?? cpu, package: 0, node: 0, siblings })),
    )
    .sort((a, b) => a.cpu - b.cpu);
  return { allowed, quotaCpus: Number.POSITIVE_INFINITY, usableCount: allowed.length };
}

test('physical cores are filled before their second hardware threads', () => {
  expect(coreOrder(machine([0, 1], [2, 3], [4, 5]).allowed)).toEqual([0, 2, 4, 1, 3, 5]);
  expect(coreOrder(machine([0, 4], [1, 5], [2, 6], [3, 7]).allowed)).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7,
  ]);
  // Of core 2 only the second hardware thread is allowed.
  expect(coreOrder(machine([0, 1], [3], [4, 5]).allowed)).toEqual([0, 3, 4, 1, 5]);
  expect(coreOrder(machine([0, 1, 2, 3], [4]).allowed)).toEqual([0, 4, 1, 2, 3]);
});

test('more executors than cpus go round', () => {
  const two = () => machine([0], [1]);
  expect(resolvePin('cores', 5, two)).toEqual([0, 1, 0, 1, 0]);
  expect(resolvePin([1], 3, two)).toEqual([1, 1, 1]);
  expect(resolvePin([1, 0, 1], 2, two)).toEqual([1, 0]);
  expect(resolvePin('none', 2, two)).toEqual([undefined, undefined]);
});

test('what is no pin, or a cpu that is not ours, is refused', () => {
  const two = () => machine([0], [1]);
  expect(() => resolvePin('all', 1, two)).toThrow(
    new TypeError(`pin must be 'cores', 'none' or an array of cpus, got "all"`),
  );
  expect(() => resolvePin([], 1, two)).toThrow(RangeError);
  expect(() => resolvePin([0, 2], 1, two)).toThrow(
    new RangeError('pin must name cpus of 0, 1, got 2'),
  );
  expect(() => resolvePin([0.5], 1, two)).toThrow(RangeError);
  expect(() => resolvePin(['0'], 1, two)).toThrow(TypeError);
});

test('per core means as many as can be busy all the time', () => {
  expect(resolveCount('per-core')).toBe(topology().usableCount);
  expect(resolveCount(3)).toBe(3);
  expect(() => resolveCount('all')).toThrow(
    new RangeError(`count must be 'per-core' or a number, got "all"`),
  );
  expect(() => resolveCount(0)).toThrow(RangeError);
  expect(() => resolveCount(257)).toThrow(RangeError);
  expect(() => resolveCount(null)).toThrow(TypeError);
});
