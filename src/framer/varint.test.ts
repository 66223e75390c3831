// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { VARINT_BYTES_MAX, VarintCodec } from './varint.ts';

const malformed = expect.objectContaining({ code: 'ERR_BUSBAR_FRAME_MALFORMED' });

function measure(codec: VarintCodec, ...bytes: number[]): number {
  return codec.measure(Uint8Array.of(0xff, ...bytes, 0xff), 1, bytes.length + 1);
}

test('reads groups of seven bits, lowest first', () => {
  const codec = new VarintCodec();
  expect(measure(codec, 0)).toBe(1);
  expect(measure(codec, 0x7f)).toBe(1 + 127);
  expect(measure(codec, 0x80, 0x01)).toBe(2 + 128);
  expect(measure(codec, 0xac, 0x02)).toBe(2 + 300);
  expect(codec.payloadSkip).toBe(2);
  expect(measure(codec, 0xff, 0xff, 0xff, 0xff, 0x7f)).toBe(5 + 2 ** 35 - 1);
  expect(codec.payloadSkip).toBe(VARINT_BYTES_MAX);
});

test('accepts a length padded with zero groups', () => {
  expect(measure(new VarintCodec(), 0x83, 0x80, 0x00)).toBe(3 + 3);
});

test('does not know before the last group', () => {
  expect(measure(new VarintCodec(), 0x80)).toBe(0);
  expect(measure(new VarintCodec(), 0x80, 0x80, 0x80, 0x80)).toBe(0);
});

test('more than five bytes are malformed, which the fifth one tells', () => {
  expect(() => measure(new VarintCodec(), 0x80, 0x80, 0x80, 0x80, 0x80)).toThrow(malformed);
});

test('an inclusive length smaller than its prefix is malformed', () => {
  const codec = new VarintCodec({ inclusive: true });
  expect(measure(codec, 1)).toBe(1);
  expect(measure(codec, 0x82, 0x00)).toBe(2);
  expect(() => measure(codec, 0)).toThrow(malformed);
  expect(() => measure(codec, 0x81, 0x00)).toThrow(malformed);
});
