// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jump, jumpPartitioner } from './jump-partitioner.ts';

const KEYS = 20_000;

/** The paper's program, in whole numbers of any length. */
function jumpAsPublished(key: bigint, count: number): number {
  let state = key;
  let bucket = -1;
  let next = 0;
  while (next < count) {
    bucket = next;
    state = BigInt.asUintN(64, state * 2862933555777941757n + 1n);
    next = Math.floor((bucket + 1) * (2 ** 31 / Number((state >> 33n) + 1n)));
  }
  return bucket;
}

test('jump is the published function, on all 64 bits of the key', () => {
  const word = fc.integer();
  fc.assert(
    fc.property(word, word, fc.integer({ min: 1, max: 0x7fff_ffff }), (high, low, count) => {
      const key = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
      expect(jump(high, low, count)).toBe(jumpAsPublished(key, count));
    }),
    { numRuns: 2000 },
  );
  // Other implementations test with these.
  expect(jump(0, 1, 1)).toBe(0);
  expect(jump(0, 42, 57)).toBe(43);
  expect(jump(0, 0xdead10cc | 0, 666)).toBe(361);
  expect(jump(0, 256, 1024)).toBe(520);
});

test('when executors are added only the keys they are owed move, and only to them', () => {
  const partitioner = jumpPartitioner();
  for (const [before, after] of [
    [1, 2],
    [4, 5],
    [5, 8],
    [16, 17],
    [63, 64],
  ] as const) {
    let moved = 0;
    for (let key = 0; key < KEYS; key++) {
      const old = partitioner.partition(key, before);
      const now = partitioner.partition(key, after);
      if (now === old) continue;
      expect(now).toBeGreaterThanOrEqual(before);
      moved++;
    }
    const share = (after - before) / after;
    const deviation = Math.sqrt(KEYS * share * (1 - share));
    expect(Math.abs(moved - KEYS * share)).toBeLessThan(5 * deviation);
  }
});

test('when executors go again every key is back where it was', () => {
  const partitioner = jumpPartitioner({ seed: 7 });
  const before = Array.from({ length: 1000 }, (_, key) => partitioner.partition(key, 4));
  for (let key = 0; key < 1000; key++) partitioner.partition(key, 9);
  expect(before.map((_, key) => partitioner.partition(key, 4))).toEqual(before);
});
