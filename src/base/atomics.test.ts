// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import * as atomics from './atomics.ts';

function shared(...values: number[]): Int32Array<SharedArrayBuffer> {
  const words = new Int32Array(new SharedArrayBuffer(values.length * 4));
  words.set(values);
  return words;
}

test('loads and stores of every kind reach the same word', () => {
  const words = shared(0, 7);
  for (const store of [atomics.storePlain, atomics.storeRelease, atomics.storeSeqCst]) {
    for (const load of [atomics.loadPlain, atomics.loadAcquire, atomics.loadSeqCst]) {
      store(words, 0, words[0] - 5);
      expect(load(words, 0)).toBe(words[0]);
    }
  }
  expect(Array.from(words)).toEqual([-45, 7]);
});

test('read-modify-writes return the value before and touch one word', () => {
  const words = shared(1, 0b1100, 2);
  expect(atomics.fetchAdd(words, 1, 1)).toBe(0b1100);
  expect(atomics.fetchSub(words, 1, 1)).toBe(0b1101);
  expect(atomics.fetchOr(words, 1, 0b0011)).toBe(0b1100);
  expect(atomics.fetchAnd(words, 1, 0b0110)).toBe(0b1111);
  expect(atomics.exchange(words, 1, -1)).toBe(0b0110);
  expect(atomics.compareExchange(words, 1, 5, 6)).toBe(-1);
  expect(atomics.compareExchange(words, 1, -1, 6)).toBe(-1);
  expect(Array.from(words)).toEqual([1, 6, 2]);
});

test('counters wrap at 2³² and go on', () => {
  const words = shared(0x7fffffff);
  expect(atomics.fetchAdd(words, 0, 1)).toBe(0x7fffffff);
  expect(words[0]).toBe(-0x80000000);
});

test('a blocking wait returns at once for another value and times out for the same', () => {
  const words = shared(3);
  expect(atomics.waitSync(words, 0, 4)).toBe('not-equal');
  expect(atomics.waitSync(words, 0, 3, 0)).toBe('timed-out');
});

test('an asynchronous wait is counted and woken by notify', async () => {
  const words = shared(3);
  expect(atomics.notify(words, 0)).toBe(0);
  const first = atomics.waitAsync(words, 0, 3);
  const second = atomics.waitAsync(words, 0, 3);
  expect(atomics.waitAsync(words, 0, 4)).toEqual({ async: false, value: 'not-equal' });
  expect(atomics.notify(words, 0, 1)).toBe(1);
  expect(await first.value).toBe('ok');
  expect(atomics.notify(words, 0)).toBe(1);
  expect(await second.value).toBe('ok');
  expect(atomics.notify(words, 0)).toBe(0);
});

test('compareExchangeThenStore stores only after a transition that happened', () => {
  const words = shared(-1, 10);
  expect(atomics.compareExchangeThenStore(words, 0, -1, 0, 1, 11)).toBe(-1);
  expect(Array.from(words)).toEqual([0, 11]);
  expect(atomics.compareExchangeThenStore(words, 0, -1, 0, 1, 12)).toBe(0);
  expect(Array.from(words)).toEqual([0, 11]);
});

test('what follows a publication is not stored unless it was made', () => {
  const published = shared(1);
  const owned = shared(2, 3);
  atomics.storeThenStore(published, 0, 4, owned, 1, 5);
  expect([...published, ...owned]).toEqual([4, 2, 5]);
  atomics.publishThenStore(published, 0, 6, owned, 0, 7, 8);
  expect([...published, ...owned]).toEqual([6, 7, 8]);
  const real = globalThis.Atomics;
  const refuses = () => {
    throw new RangeError('Maximum call stack size exceeded');
  };
  globalThis.Atomics = { store: refuses, compareExchange: refuses } as unknown as typeof Atomics;
  try {
    expect(() => atomics.storeThenStore(published, 0, 0, owned, 1, 0)).toThrow(RangeError);
    expect(() => atomics.publishThenStore(published, 0, 0, owned, 0, 0, 0)).toThrow(RangeError);
    expect(() => atomics.compareExchangeThenStore(owned, 0, 7, 0, 1, 0)).toThrow(RangeError);
  } finally {
    globalThis.Atomics = real;
  }
  expect([...published, ...owned]).toEqual([6, 7, 8]);
});

test('addThenStore changes the total and the account that it belongs to', () => {
  const words = shared(100, 4);
  expect(atomics.addThenStore(words, 0, 60, 1, 64)).toBe(100);
  expect(Array.from(words)).toEqual([160, 64]);
});

test('withdraw empties the account and makes the last one the owner', () => {
  const words = shared(3, 10, -1);
  expect(atomics.withdraw(words, 0, 1, 2, 5)).toBe(7);
  expect(Array.from(words)).toEqual([0, 7, -1]);
  words[0] = 7;
  expect(atomics.withdraw(words, 0, 1, 2, 5)).toBe(0);
  expect(Array.from(words)).toEqual([0, 0, 5]);
});

test('Atomics is looked up at each call, so that a model checker can stand in for it', () => {
  const real = globalThis.Atomics;
  const words = shared(1);
  const seen: string[] = [];
  const stand = {
    load: (array: Int32Array, index: number) => {
      seen.push(`load ${index}`);
      return real.load(array, index);
    },
  };
  globalThis.Atomics = stand as unknown as typeof Atomics;
  try {
    expect(atomics.loadAcquire(words, 0)).toBe(1);
  } finally {
    globalThis.Atomics = real;
  }
  expect(seen).toEqual(['load 0']);
});
