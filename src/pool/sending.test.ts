// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { auditPool, controlLayout, controlWords } from '../../test/pool-audit.ts';
import { coded, expectAllHome } from '../../test/pool-expectations.ts';
import { Random } from '../base/random.ts';
import { type BufferId, BufferPool, NO_BUFFER } from './index.ts';
import { ALONE, OWNER, TOTAL } from './pool-layout.ts';

const shape = { bufferSize: 100, bufferCount: 8, batchSize: 2, maxThreads: 4 };

test('a reference goes through four words to another thread, with offset and length', () => {
  const a = BufferPool.create(shape);
  const b = BufferPool.attach(a.handle);
  const words = new Int32Array(new SharedArrayBuffer(40)).fill(-7);
  const id = a.tryAcquire();
  const offset = a.offsetOf(id) + 10;
  a.moveInto(id, offset, 90, words, 3);
  expect(() => a.release(id)).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  expect(a.who()).toMatchObject({ held: 1, inTransit: 1 });
  expect(Array.from(words.subarray(3, 6))).toEqual([id, offset, 90]);
  expect(b.moveFrom(words, 3)).toBe(id);
  expect(Array.from(words)).toEqual([-7, -7, -7, id, offset, 90, 0, -7, -7, -7]);
  expect(b.who()).toMatchObject({ held: 1, inTransit: 0 });
  expect(auditPool(a)).toEqual([]);
  b.release(id);
  expectAllHome(a);
});

test('words are received once', () => {
  const a = BufferPool.create(shape);
  const b = BufferPool.attach(a.handle);
  const words = new Int32Array(4);
  const id = a.tryAcquire();
  a.retain(id);
  a.moveInto(id, a.offsetOf(id), 0, words, 0);
  b.moveFrom(words, 0);
  const before = controlWords(a).slice();
  for (const pool of [a, b]) {
    expect(() => pool.moveFrom(words, 0)).toThrow(coded('ERR_BUSBAR_BAD_SEND_PACKET'));
    expect(() => pool.moveFrom(words, 0)).toThrow(`buffer ${id}; received already`);
  }
  expect(controlWords(a)).toEqual(before);
  a.release(id);
  b.release(id);
  expectAllHome(a);
});

test('the only reference on a buffer takes no shares along', () => {
  const a = BufferPool.create(shape);
  const b = BufferPool.attach(a.handle);
  const words = new Int32Array(4);
  const id = a.tryAcquire();
  const record = controlLayout(a).buffer(id);
  const [owner, total] = [record + OWNER, record + TOTAL];
  a.moveInto(id, a.offsetOf(id), 0, words, 0);
  expect(a.who()).toMatchObject({ held: 1, inTransit: 1 });
  expect(controlWords(a)[owner]).toBe(ALONE);
  const copy = words.slice();
  expect(b.moveFrom(words, 0)).toBe(id);
  expect(controlWords(a)[owner]).toBe(b.threadSlot);
  expect(controlWords(a)[total]).toBe(0);
  expect(b.isSoleHolder(id)).toBe(true);
  expect(auditPool(a)).toEqual([]);
  // Words that were copied are not received again, neither now nor once the buffer is shared.
  expect(() => a.moveFrom(copy, 0)).toThrow(coded('ERR_BUSBAR_BAD_SEND_PACKET'));
  b.retain(id);
  b.moveInto(id, b.offsetOf(id), 0, words, 0);
  expect(() => a.moveFrom(copy, 0)).toThrow(coded('ERR_BUSBAR_BAD_SEND_PACKET'));
  a.moveFrom(words, 0);
  a.release(id);
  b.release(id);
  expectAllHome(a);
});

test('a region that does not lie in the buffer is refused and the reference stays', () => {
  const pool = BufferPool.create(shape);
  const [first, second] = [pool.tryAcquire(), pool.tryAcquire()];
  const id = first === 0 ? second : first;
  const begin = pool.offsetOf(id);
  const before = controlWords(pool).slice();
  const words = new Int32Array(4).fill(5);
  for (const [offset, length] of [
    [begin - 1, 1],
    [begin, 101],
    [begin + 100, 1],
    [begin + 101, 0],
    [begin, -1],
    [begin + 50, -50],
    [0, 1],
    [NaN, 1],
    [begin, NaN],
    [begin + 0.5, 1],
    [begin, 1.5],
    [begin, Infinity],
    [begin + 2 ** 32, 1],
    [String(begin), 1],
    [begin, '1'],
    [undefined, undefined],
    [begin, null],
  ] as [number, number][]) {
    const send = (): void => pool.moveInto(id, offset, length, words, 0);
    expect(send, `${offset} ${length}`).toThrow(RangeError);
    expect(send).toThrow(/offset and length must lie in buffer \d+, .*\[\d+, \d+\), got/);
  }
  expect(controlWords(pool)).toEqual(before);
  expect(Array.from(words)).toEqual([5, 5, 5, 5]);
  for (const [offset, length] of [
    [begin, 100],
    [begin + 100, 0],
    [begin, 0],
  ]) {
    pool.moveInto(id, offset, length, words, 0);
    pool.moveFrom(words, 0);
  }
});

test('an index without room for four words is refused and the reference stays', () => {
  const pool = BufferPool.create(shape);
  const id = pool.tryAcquire();
  const words = new Int32Array(8).fill(5);
  const before = controlWords(pool).slice();
  for (const index of [-1, 5, 8, 0.5, 3.5, NaN, Infinity, '0', undefined] as number[]) {
    const send = (): void => pool.moveInto(id, pool.offsetOf(id), 1, words, index);
    expect(send, `${index}`).toThrow(RangeError);
    expect(send).toThrow(/^index must be an integer that leaves 4 words, got/);
  }
  expect(() =>
    pool.moveInto(id, pool.offsetOf(id), 1, undefined as unknown as Int32Array, 0),
  ).toThrow(TypeError);
  expect(controlWords(pool)).toEqual(before);
  expect(words.every((word) => word === 5)).toBe(true);
});

test('no code of a target runs once the count of references has been read', () => {
  const pool = BufferPool.create(shape);
  const id = pool.tryAcquire();
  const begin = pool.offsetOf(id);
  let hasRun = false;
  const release = (): number => {
    if (!hasRun) pool.release(id);
    hasRun = true;
    return 4;
  };
  const trap = (): boolean => release() === 4;
  const lying = Object.defineProperty(new Int32Array(4), 'length', { get: release });
  class Lying extends Int32Array {
    override get length(): number {
      return release();
    }
  }
  for (const target of [lying, new Lying(4)]) {
    pool.moveInto(id, begin, 1, target, 0);
    expect(pool.moveFrom(target, 0)).toBe(id);
  }
  const accessors = Object.create(Int32Array.prototype, {
    0: { get: release, set: release },
    3: { get: release, set: release },
    length: { value: 8 },
  });
  const strange = [
    new Proxy(new Int32Array(4), { set: trap }),
    new Proxy(new Int32Array(4), { get: (at, key) => Reflect.get(at, key), set: trap }),
    accessors,
    Object.create(new Int32Array(4)),
    Object.setPrototypeOf([0, 0, 0, 0], Int32Array.prototype),
  ];
  const before = controlWords(pool).slice();
  for (const target of strange as Int32Array[]) {
    expect(() => pool.moveInto(id, begin, 1, target, 0)).toThrow(/^target must be an Int32Array/);
  }
  expect(controlWords(pool)).toEqual(before);
  expect(hasRun).toBe(false);
  pool.release(id);
  expectAllHome(pool);
});

test('a target whose memory is gone, or whose length says nothing, takes or refuses whole', () => {
  const pool = BufferPool.create(shape);
  const id = pool.tryAcquire();
  const begin = pool.offsetOf(id);
  const gone = new Int32Array(8);
  structuredClone(gone, { transfer: [gone.buffer] });
  const short = Object.defineProperty(new Int32Array(3), 'length', { value: 8 });
  const before = controlWords(pool).slice();
  for (const target of [gone, short, new Int32Array(0)]) {
    expect(() => pool.moveInto(id, begin, 1, target, 0)).toThrow(/^index must be an integer that/);
  }
  expect(controlWords(pool)).toEqual(before);
  expect(Array.from(short)).toEqual([0, 0, 0]);
  for (const value of [Symbol('4'), 4n, null, 'x', {}]) {
    const target = Object.defineProperty(new Int32Array(4), 'length', { value });
    pool.moveInto(id, begin, 1, target, 0);
    expect(pool.moveFrom(target, 0)).toBe(id);
  }
  pool.release(id);
  expectAllHome(pool);
});

test('forged words, and words of another pool, are refused and nothing changes', () => {
  const pool = BufferPool.create(shape);
  let other = BufferPool.create(shape);
  const tagOf = (each: BufferPool): number => {
    const words = new Int32Array(4);
    const id = each.tryAcquire();
    each.moveInto(id, each.offsetOf(id), 1, words, 0);
    const mark = words[3];
    each.release(each.moveFrom(words, 0));
    return mark & ~0xffff;
  };
  while (tagOf(other) === tagOf(pool)) other = BufferPool.create(shape);
  const tag = tagOf(pool);
  const words = new Int32Array(4);
  const id = other.tryAcquire();
  const begin = other.offsetOf(id);
  other.moveInto(id, begin, 1, words, 0);
  const foreign = Array.from(words);
  const mine = pool.tryAcquire();
  pool.retain(mine);
  pool.moveInto(mine, pool.offsetOf(mine), 1, words, 0);
  const good = Array.from(words);
  const free = pool.tryAcquire();
  pool.release(free);
  const held = pool.tryAcquire();
  const before = controlWords(pool).slice();
  for (const forged of [
    foreign,
    [0, 0, 0, 0],
    [mine, good[1], good[2], 0],
    [mine, good[1], good[2], tag],
    [mine, good[1], good[2], 1 === tag ? 2 : tag ^ 0x10001],
    [mine, good[1], good[2], -good[3]],
    [mine, good[1] - 1, good[2], good[3]],
    [mine, good[1], 101, good[3]],
    [mine, good[1], -1, good[3]],
    [-1, good[1], good[2], good[3]],
    [8, good[1], good[2], good[3]],
    [0x7fffffff, good[1], good[2], good[3]],
    [held, pool.offsetOf(held), 1, tag | 1],
    [7, pool.offsetOf(7 as BufferId), 1, tag | 1],
  ]) {
    words.set(forged);
    expect(() => pool.moveFrom(words, 0), `${forged}`).toThrow(coded('ERR_BUSBAR_BAD_SEND_PACKET'));
    expect(Array.from(words)).toEqual(forged);
  }
  for (const index of [-1, 1, 4, 0.5, NaN]) {
    expect(() => pool.moveFrom(words, index)).toThrow(coded('ERR_BUSBAR_BAD_SEND_PACKET'));
  }
  expect(controlWords(pool)).toEqual(before);
});

test('a reference may come home to the thread that sent it', () => {
  const pool = BufferPool.create(shape);
  const words = new Int32Array(4);
  const id = pool.tryAcquire();
  for (let i = 0; i < 1000; i++) {
    pool.moveInto(id, pool.offsetOf(id), 1, words, 0);
    expect(pool.moveFrom(words, 0)).toBe(id);
  }
  expect(auditPool(pool)).toEqual([]);
  pool.release(id);
  expectAllHome(pool);
});

test('a thousand references of one buffer may be in transit at once', () => {
  const a = BufferPool.create(shape);
  const b = BufferPool.attach(a.handle);
  const words = new Int32Array(4 * 1000);
  const id = a.tryAcquire();
  for (let i = 0; i < 1000; i++) {
    if (i < 999) a.retain(id);
    a.moveInto(id, a.offsetOf(id), i % 100, words, 4 * i);
  }
  expect(a.who()).toMatchObject({ held: 1, inTransit: 1 });
  for (let i = 0; i < 1000; i++) {
    expect(b.moveFrom(words, 4 * i)).toBe(id);
    expect(words[4 * i + 2]).toBe(i % 100);
    if (i % 3 === 0) b.release(id);
  }
  expect(auditPool(a)).toEqual([]);
  for (let i = 0; i < 1000; i++) if (i % 3 !== 0) b.release(id);
  expectAllHome(a);
});

test('shares that gather where references come and go are given back', () => {
  const a = BufferPool.create(shape);
  const b = BufferPool.attach(a.handle);
  const words = new Int32Array(4);
  const id = a.tryAcquire();
  const total = (): number => controlWords(a)[controlLayout(a).buffer(id) + TOTAL];
  a.retain(id);
  a.moveInto(id, a.offsetOf(id), 1, words, 0);
  b.moveFrom(words, 0);
  for (let i = 0; i < 10_000; i++) {
    // B keeps a reference, and gets all of A's shares each time: they pile up.
    a.moveInto(id, a.offsetOf(id), 1, words, 0);
    b.moveFrom(words, 0);
    b.moveInto(id, b.offsetOf(id), 1, words, 0);
    a.moveFrom(words, 0);
    a.retain(id);
    a.moveInto(id, a.offsetOf(id), 1, words, 0);
    b.moveFrom(words, 0);
    b.release(id);
  }
  expect(total()).toBeLessThan(1000);
  for (let i = 0; i < 10_000; i++) {
    // A long-lived buffer that one thread sends to another all the time.
    a.retain(id);
    a.moveInto(id, a.offsetOf(id), 1, words, 0);
    b.moveFrom(words, 0);
    b.release(id);
  }
  expect(total()).toBeLessThan(1000);
  expect(auditPool(a)).toEqual([]);
  a.release(id);
  b.release(id);
  expectAllHome(a);
});

test('more references in transit than the count can hold are refused and nothing changes', () => {
  const pool = BufferPool.create(shape);
  const words = new Int32Array(4);
  const id = pool.tryAcquire();
  pool.retain(id);
  const control = controlWords(pool);
  const total = controlLayout(pool).buffer(id) + TOTAL;
  const at = pool.offsetOf(id);
  pool.moveInto(id, at, 1, words, 0);
  control[total] += 0x7100_0000;
  for (;;) {
    pool.retain(id);
    const before = control.slice();
    words.fill(0);
    try {
      pool.moveInto(id, at, 1, words, 0);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_BUSBAR_REFERENCES' });
      expect(control).toEqual(before);
      expect(Array.from(words)).toEqual([0, 0, 0, 0]);
      return;
    }
  }
});

test('references beyond the last that a word counts are refused, and nothing changes', () => {
  const most = 2 ** 31 - 1;
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const id = pool.tryAcquire();
  const at = pool.offsetOf(id);
  const words = new Int32Array(8);
  for (const index of [0, 4]) {
    pool.retain(id);
    pool.moveInto(id, at, 1, words, index);
  }
  expect(other.moveFrom(words, 0)).toBe(id);
  const refused = coded('ERR_BUSBAR_REFERENCES');
  const control = controlWords(pool);
  const refs = controlLayout(pool).refs(other.threadSlot) + id;
  control[refs] = most;
  const before = control.slice();
  expect(() => other.retain(id)).toThrow(refused);
  expect(() => other.checkHeld(id)).toThrow(refused);
  expect(() => other.moveFrom(words, 4)).toThrow(refused);
  expect(() => other.retainShared(id)).toThrow(refused);
  expect(control).toEqual(before);
  expect(words[7]).not.toBe(0);
  other.release(id);
  other.retain(id);
  expect(control[refs]).toBe(most);
  control[refs] = 1;
  other.release(id);
  other.release(other.moveFrom(words, 4));
  pool.release(id);
  expect(pool.who()).toMatchObject({ held: 0, inTransit: 0 });
});

test('references sent at random between threads never lose or double a buffer', () => {
  const random = new Random(7);
  const first = BufferPool.create({ ...shape, bufferCount: 5, batchSize: 1 });
  const pools = [first, ...Array.from({ length: 3 }, () => BufferPool.attach(first.handle))];
  const held: BufferId[][] = pools.map(() => []);
  const boxes = new Int32Array(16 * 4);
  const full: number[] = [];
  const empty = Array.from({ length: 16 }, (_, i) => i * 4);
  const serials = new Map<BufferId, number>();
  for (let i = 0; i < 20_000; i++) {
    const who = random.below(4);
    const pool = pools[who];
    const mine = held[who];
    const action = random.below(10);
    if (action < 2 && mine.length < 12) {
      const id = pool.tryAcquire();
      if (id === NO_BUFFER) continue;
      for (const theirs of held) expect(theirs).not.toContain(id);
      mine.push(id);
      serials.set(id, i);
      pool.view.setUint32(pool.offsetOf(id), i);
    } else if (action < 5 && full.length > 0) {
      const [box] = full.splice(random.below(full.length), 1);
      const id = pool.moveFrom(boxes, box);
      empty.push(box);
      mine.push(id);
      expect(pool.view.getUint32(pool.offsetOf(id))).toBe(serials.get(id));
    } else if (mine.length > 0) {
      const [id] = mine.splice(random.below(mine.length), 1);
      expect(pool.view.getUint32(pool.offsetOf(id))).toBe(serials.get(id));
      if (action < 7 && empty.length > 0) {
        const box = empty.pop() as number;
        pool.moveInto(id, pool.offsetOf(id), 4, boxes, box);
        full.push(box);
      } else if (action === 7) {
        pool.retain(id);
        mine.push(id, id);
      } else {
        pool.release(id);
      }
    }
    if (i % 200 === 0) expect(auditPool(first)).toEqual([]);
  }
  for (const box of full) held[0].push(first.moveFrom(boxes, box));
  held.forEach((mine, who) => {
    for (const id of mine) pools[who].release(id);
  });
  expectAllHome(first);
});

test('copy takes numbers only', () => {
  const pool = BufferPool.create(shape);
  for (const wrong of [{ valueOf: () => 1 }, '1', 1n, undefined, 0.5, -1]) {
    expect(() => pool.copy(64, 0, wrong as never), String(wrong)).toThrow(
      /^(length|end|begin) must/,
    );
  }
});
