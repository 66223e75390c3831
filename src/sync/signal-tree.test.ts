// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { dieAt, pauseAt } from '../../test/accesses.ts';
import { arbitrarySeed, Random } from '../base/random.ts';
import { BufferPool } from '../pool/index.ts';
import { NO_SIGNAL, SignalTree } from './index.ts';

const createPool = () => BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 4 });

test.each([1, 32, 33, 1024, 1025, 40_000])('%i signals: the next is found, going around', (n) => {
  const seed = arbitrarySeed();
  const random = new Random(seed);
  const tree = SignalTree.create(createPool(), { signals: n });
  const set = new Set<number>();
  let last = -1;
  for (let i = 0; i < 3000; i++) {
    if (random.below(5) < 3) {
      const index = random.below(n);
      expect(tree.set(index), `seed ${seed}`).toBe(set.has(index) ? 'already' : 'set');
      set.add(index);
      continue;
    }
    const sorted = Array.from(set).sort((a, b) => a - b);
    const expected = sorted.find((index) => index > last) ?? sorted[0] ?? NO_SIGNAL;
    expect(tree.tryTake(), `seed ${seed}`).toBe(expected);
    if (expected === NO_SIGNAL) continue;
    last = expected;
    set.delete(expected);
    expect(tree.isSet(expected)).toBe(false);
  }
});

test('consumers wait, in both ways, and give up', async () => {
  const pool = createPool();
  const tree = SignalTree.create(pool, { signals: 100 });
  const other = SignalTree.attach(BufferPool.attach(pool.handle), structuredClone(tree.handle));
  expect(tree.takeSync(1)).toBe(NO_SIGNAL);
  await expect(tree.take({ timeoutMs: 1 })).rejects.toThrow(/ERR_BUSBAR_TIMEOUT|timeout/);
  const both = Promise.all([tree.take(), tree.take()]);
  expect(other.signal(99).set()).toBe('set');
  expect(other.set(40)).toBe('set');
  expect((await both).sort()).toEqual([40, 99]);
  expect(tree.tryTake()).toBe(NO_SIGNAL);
});

test('what a thread left that died between two bits is found', async () => {
  const pool = createPool();
  const tree = SignalTree.create(pool, { signals: 2000 });
  const bits = new Int32Array(tree.handle.bits);
  // As if it had ended after the first bit.
  Atomics.or(bits, 1500 >> 5, 1 << 1500);
  expect(tree.tryTake()).toBe(NO_SIGNAL);
  // A consumer that waits looks at its tick.
  expect(await tree.take()).toBe(1500);
  Atomics.or(bits, 3 >> 5, 1 << 3);
  expect(tree.recover()).toBe(true);
  expect(tree.tryTake()).toBe(3);
});

test.each([40, 2000, 40_000])('%i: bits that a late setter leaves above nothing go', (signals) => {
  const pool = createPool();
  const setter = SignalTree.create(pool, { signals });
  const tree = SignalTree.attach(BufferPool.attach(pool.handle), setter.handle);
  const bits = new Int32Array(setter.handle.bits);
  for (let i = 0; i < signals; i += 1 + (signals >> 6)) {
    for (let k = 1, isLater = true; isLater; k++) {
      let taken = NO_SIGNAL;
      // A consumer takes the signal, as far as it finds it, before the setter's k-th access.
      isLater = pauseAt(
        k,
        () => {
          taken = tree.tryTake();
        },
        () => setter.set(i),
      );
      if (taken === NO_SIGNAL) expect(tree.tryTake()).toBe(i);
      // Nothing is set any more, so a wait must come to sleep, whose thread would spin for ever.
      expect(tree.tryTake()).toBe(NO_SIGNAL);
      expect([...bits.subarray(0, -1)].filter((word) => word !== 0)).toEqual([]);
    }
  }
});

test.each([40, 2000])('%i: bits that a dead consumer leaves above nothing go', (signals) => {
  const pool = createPool();
  for (let k = 1, isDead = true; isDead; k++) {
    const tree = SignalTree.create(pool, { signals });
    const { bits } = tree.handle;
    const words = new Int32Array(bits);
    for (const index of [0, signals - 1]) {
      const dying = SignalTree.attach(pool, tree.handle);
      tree.set(index);
      isDead = dieAt(k, () => void dying.tryTake(), [bits]);
      tree.tryTake();
      expect(tree.tryTake()).toBe(NO_SIGNAL);
      expect(
        [...words.subarray(0, -1)].filter((word) => word !== 0),
        `access ${k}`,
      ).toEqual([]);
    }
  }
});

test('misuse', () => {
  const pool = createPool();
  expect(() => SignalTree.create(pool, { signals: 0 })).toThrow(/^signals must be/);
  const tree = SignalTree.create(pool, { signals: 5 });
  expect(() => tree.set(5)).toThrow(/^index must be/);
  expect(() => tree.signal(-1)).toThrow(/^index must be/);
  const { handle } = tree;
  expect(() => SignalTree.attach(pool, { ...handle, bits: handle.control })).toThrow(/its bits/);
});
