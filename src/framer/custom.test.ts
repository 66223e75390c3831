// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import type { Codec } from './codec.ts';
import { CustomCodec } from './custom.ts';
import { FixedCodec } from './fixed.ts';
import { Framer } from './framer.ts';

function frames(codec: CustomCodec | FixedCodec, ...bytes: number[]): number[][] {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 2 });
  const framer = new Framer(pool, codec);
  framer.feed(Uint8Array.from(bytes));
  const payloads: number[][] = [];
  while (framer.next()) {
    const { frameOffset, frameLength } = framer;
    payloads.push([...pool.bytes.subarray(frameOffset, frameOffset + frameLength)]);
  }
  return payloads;
}

test('a function measures frames', () => {
  const codec = new CustomCodec((bytes, begin) => 1 + (bytes[begin] >> 4));
  expect(frames(codec, 0x10, 1, 0x00, 0x20, 2, 3)).toEqual([[0x10, 1], [0], [0x20, 2, 3]]);
});

test('options say once where the payload lies, the function for each frame', () => {
  const fixed = new CustomCodec(() => 4, { payloadSkip: 1, payloadTrim: 2 });
  expect(frames(fixed, 1, 2, 3, 4, 5, 6, 7, 8)).toEqual([[2], [6]]);
  const moving = new CustomCodec((bytes, begin, _end, _scanned, codec) => {
    codec.payloadSkip = bytes[begin];
    return 4;
  });
  expect(frames(moving, 1, 2, 3, 4, 4, 6, 7, 8)).toEqual([[2, 3, 4], []]);
});

test('fixed frames are all payload', () => {
  expect(frames(new FixedCodec(3), 1, 2, 3, 4, 5, 6, 7)).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
});

const hostile = {
  valueOf: () => {
    throw new Error('not a number');
  },
};

test.each([-1, 1.5, '4', true, undefined, null, 4n, 2n ** 40n, Symbol('four'), hostile])(
  'what is no length is refused as the length of a frame, and around it: %o',
  (value) => {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount: 2, maxThreads: 1 });
    const lying: Codec[] = [
      { payloadSkip: 0, payloadTrim: 0, measure: () => value as number },
      { payloadSkip: value as number, payloadTrim: 0, measure: () => 4 },
      { payloadSkip: 0, payloadTrim: value as number, measure: () => 4 },
      { payloadSkip: value as number, payloadTrim: value as number, measure: () => 4 },
    ];
    for (const codec of lying) {
      const framer = new Framer(pool, codec);
      framer.feed(new Uint8Array(8));
      let error: unknown;
      try {
        framer.next();
      } catch (thrown) {
        error = thrown;
      }
      expect((error as Error).message).toMatch(/^codec\.measure must return 0 or a length, got /);
      expect(framer.failedWith(error)).toBe(true);
      framer.close();
    }
    expect(pool.close().heldByThreads).toBe(0);
  },
);

test('misuse names the argument', () => {
  expect(() => new CustomCodec(5 as never)).toThrow(/measure must be a function/);
  expect(() => new CustomCodec(() => 0, { payloadSkip: -1 })).toThrow(/payloadSkip/);
  expect(() => new FixedCodec(0)).toThrow(/frameBytes/);
});
