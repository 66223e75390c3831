// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { assembleArena, CODE } from '../../scripts/arena-code.mjs';
import { ROOT } from '../../scripts/files.mjs';
import { Arena, arenaOf, createBlock } from './arena.ts';
import { copyForeign, fixedViewOf } from './bytes.ts';
import { Random } from './random.ts';
import type { Bytes } from './views.ts';

/** A page and a half: the memory ends within a page. */
const BYTES = 98_304;

function makeArena(mayBeMemory: boolean): Arena {
  const { block, memory } = createBlock(BYTES, mayBeMemory);
  return new Arena(block, BYTES, memory);
}

/** One for each way; the second fast one has no call sites of its own. */
function arenas(): Arena[] {
  return [makeArena(true), makeArena(true), makeArena(false)];
}

function scatter(random: Random, bytes: Bytes): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
}

/** Mostly short, at either end of the bytes or anywhere. */
function range(random: Random): { at: number; count: number } {
  const count = random.chance(0.9) ? random.below(140) : random.below(9000);
  const place = random.below(4);
  if (place === 0) return { at: 0, count };
  if (place === 1) return { at: BYTES - count, count };
  return { at: random.below(BYTES - count + 1), count };
}

test('the embedded module is what the text says', async () => {
  expect(readFileSync(ROOT + CODE, 'utf8')).toBe(await assembleArena());
});

test('each arena is what it should be', () => {
  const [first, second, plain] = arenas();
  expect([first.isFast, second.isFast, plain.isFast]).toEqual([true, true, false]);
  expect([plain.memory, arenaOf(plain.bytes)]).toEqual([undefined, undefined]);
  expect(arenaOf(first.bytes)).toBe(first);
  expect(first.bytes.length).toBe(BYTES);
});

test('copies, fills and comparisons do what simple loops do, and nothing outside', () => {
  const random = new Random(20261129);
  for (const arena of arenas()) {
    const model = new Uint8Array(BYTES);
    scatter(random, model);
    arena.bytes.set(model);
    for (let round = 0; round < 4000; round++) {
      const { at, count } = range(random);
      // A third of them overlap.
      const near = Math.min(Math.max(at + random.between(-70, 70), 0), BYTES - count);
      const other = random.chance(0.3) ? near : random.below(BYTES - count + 1);
      const kind = random.below(8);
      if (kind === 0) {
        const byte = random.below(256);
        arena.fill(at, Math.min(count, 300), byte);
        model.fill(byte, at, at + Math.min(count, 300));
      } else {
        arena.copy(other, at, count);
        model.copyWithin(other, at, at + count);
      }
      const isSame = Buffer.compare(
        model.subarray(at, at + count),
        model.subarray(other, other + count),
      );
      expect(arena.equal(at, other, count)).toBe(isSame === 0);
      // Only what may have changed, and its surroundings.
      const begin = Math.max(Math.min(at, other) - 20, 0);
      const end = Math.max(at, other) + count + 20;
      if (end - begin > 2000 && round % 50 !== 0) continue;
      const difference = Buffer.compare(
        Uint8Array.from(arena.bytes.subarray(begin, end)),
        model.subarray(begin, end),
      );
      expect(difference, `round ${round}: ${count} bytes from ${at} to ${other}`).toBe(0);
    }
    expect(Buffer.compare(Uint8Array.from(arena.bytes), model)).toBe(0);
  }
});

test('one byte that differs is seen wherever it is', () => {
  for (const arena of arenas()) {
    for (let count = 1; count < 70; count++) {
      for (let i = 0; i < count; i++) {
        arena.bytes[1000 + i] = 1;
        expect(arena.equal(1000, 5000, count)).toBe(false);
        arena.bytes[1000 + i] = 0;
      }
      expect(arena.equal(1000, 5000, count)).toBe(true);
    }
  }
});

test('finds what indexOf finds, up to both ends', () => {
  const random = new Random(20261130);
  for (const arena of arenas()) {
    for (let round = 0; round < 4000; round++) {
      const { at, count } = range(random);
      const wanted = [0, 0x0a, 0x7f, 0x80, 0xff][random.below(5)];
      const part = arena.bytes.subarray(at, at + count);
      for (let i = 0; i < Math.min(count, 140); i++) {
        part[i] = random.chance(0.01) ? wanted : wanted ^ (1 + random.below(255));
      }
      const found = part.indexOf(wanted);
      expect(arena.find(wanted, at, at + count)).toBe(found < 0 ? -1 : at + found);
    }
    expect(arena.find(0, 9, 9)).toBe(-1);
    expect(arena.find(0, 90, 9)).toBe(-1);
  }
});

test('CRC-32C is that of RFC 3720, in one piece or in several', () => {
  const random = new Random(3720);
  for (const arena of arenas()) {
    const crc = (...bytes: number[]): number => {
      arena.bytes.set(bytes);
      return arena.crc32c(0, bytes.length, 0);
    };
    expect(crc(...new TextEncoder().encode('123456789'))).toBe(0xe306_9283);
    expect(crc(...Array(32).fill(0))).toBe(0x8a91_36aa);
    expect(crc(...Array(32).fill(0xff))).toBe(0x62a8_ab43);
    expect(crc(...Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd_794e);
    expect(crc(...Array.from({ length: 32 }, (_, i) => 31 - i))).toBe(0x113f_db5c);
    expect(crc()).toBe(0);
    scatter(random, arena.bytes.subarray(0, 300));
    for (let cut = 0; cut < 300; cut += 7) {
      const whole = arena.crc32c(1, 300, 0);
      expect(arena.crc32c(1 + cut, 300, arena.crc32c(1, 1 + cut, 0))).toBe(whole);
    }
  }
});

test('bytes from elsewhere arrive, also when the same source comes again and again', () => {
  const random = new Random(20261201);
  for (const arena of arenas()) {
    for (let round = 0; round < 600; round++) {
      const size = random.chance(0.7) ? random.below(100) : random.below(3000);
      const block = random.chance(0.5)
        ? new ArrayBuffer(size + 9)
        : new SharedArrayBuffer(size + 9);
      const source = random.chance(0.5)
        ? Buffer.from(block, random.below(10), size)
        : new Uint8Array(block, random.below(10), size);
      for (let again = 0; again < 4; again++) {
        scatter(random, source);
        const begin = random.below(size + 1);
        const end = random.chance(0.5) ? size : random.between(begin, size);
        const at = random.below(BYTES - size - 2) + 1;
        arena.bytes.fill(0xee, at - 1, at + end - begin + 1);
        arena.write(at, source, begin, end);
        const expected = [0xee, ...source.slice(begin, end), 0xee];
        expect([...arena.bytes.subarray(at - 1, at + end - begin + 1)]).toEqual(expected);
      }
    }
    arena.bytes.set([1, 2, 3], 40);
    arena.write(60, arena.bytes, 40, 43);
    expect([...arena.bytes.subarray(60, 63)]).toEqual([1, 2, 3]);
  }
});

test('a repeated source that cannot be kept is read anew each time', () => {
  const arena = makeArena(true);
  const block = Reflect.construct(ArrayBuffer, [8, { maxByteLength: 64 }]) as ArrayBuffer & {
    resize(bytes: number): void;
  };
  const growing = new Uint8Array(block);
  const claims = new Proxy(new Uint8Array(8).fill(7), {
    get: (bytes, key) => Reflect.get(bytes, key),
  });
  expect([fixedViewOf(growing), fixedViewOf(claims)]).toEqual([undefined, undefined]);
  for (let round = 0; round < 4; round++) {
    block.resize(8 + 8 * round);
    growing.fill(round);
    arena.write(100, growing, 0, 8 + 8 * round);
    expect(arena.bytes[107 + 8 * round]).toBe(round);
    arena.write(0, claims, 0, 8);
    arena.write(8, claims, 0, 8);
    expect(arena.bytes[15]).toBe(7);
  }
});

test('a source whose memory is gone changes nothing around its range', () => {
  const arena = makeArena(true);
  const source = Object.defineProperty(new Uint8Array(40).fill(9), 'length', { value: 40 });
  arena.write(0, source, 0, 40);
  arena.write(100, source, 0, 40);
  structuredClone(source.buffer, { transfer: [source.buffer] });
  expect(() => arena.write(200, source, 0, 40)).toThrow(TypeError);
  expect(arena.bytes.subarray(200).every((byte) => byte === 0)).toBe(true);
});

test('a source or target that claims another byteLength is copied by its real one', () => {
  const lies = (bytes: Bytes, size: number): Bytes =>
    Object.defineProperty(bytes, 'byteLength', { value: size });
  class Sly extends Uint8Array {
    override get byteLength(): number {
      return 1;
    }
  }
  for (const source of [lies(new Uint8Array(500).fill(3), 1e9), new Sly(500).fill(3)]) {
    const target = new Uint8Array(700);
    copyForeign(target, 100, source, 0, 500);
    expect(target.indexOf(0, 100)).toBe(600);
    const narrow = lies(new Uint8Array(700), 5);
    copyForeign(narrow, 100, new Uint8Array(500).fill(3), 0, 500);
    expect(narrow.indexOf(0, 100)).toBe(600);
  }
});

// The last one: what it has learnt stays.
test('a memory that was refused is not asked for again before the thread has fewer', () => {
  const [one] = [makeArena(true), makeArena(true)];
  const engine = (globalThis as unknown as { WebAssembly: { Memory: unknown } }).WebAssembly;
  const { Memory } = engine;
  let asked = 0;
  engine.Memory = class {
    constructor() {
      asked++;
      throw new RangeError('could not allocate memory');
    }
  };
  const ask = (byteLength: number): number => {
    asked = 0;
    expect(createBlock(byteLength, true).memory).toBeUndefined();
    return asked;
  };
  try {
    expect([ask(2 * BYTES), ask(2 * BYTES), ask(3 * BYTES)]).toEqual([1, 0, 0]);
    // There may be room for a smaller one.
    expect([ask(BYTES), ask(BYTES)]).toEqual([1, 0]);
    one.retire();
    expect([ask(BYTES), ask(BYTES), ask(2 * BYTES)]).toEqual([1, 0, 0]);
  } finally {
    engine.Memory = Memory;
  }
});
