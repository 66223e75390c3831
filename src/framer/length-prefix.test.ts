// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { LengthPrefixCodec } from './length-prefix.ts';

const bytes = Uint8Array.of(0x99, 0x81, 0x02, 0x03, 0x84);
const measure = (codec: LengthPrefixCodec, end: number = bytes.length): number =>
  codec.measure(bytes, 1, end);

test('reads one to four bytes in either order', () => {
  expect(measure(new LengthPrefixCodec('u8'))).toBe(1 + 0x81);
  expect(measure(new LengthPrefixCodec('u16'))).toBe(2 + 0x8102);
  expect(measure(new LengthPrefixCodec('u16', { byteOrder: 'little' }))).toBe(2 + 0x0281);
  expect(measure(new LengthPrefixCodec('u24'))).toBe(3 + 0x810203);
  expect(measure(new LengthPrefixCodec('u24', { byteOrder: 'little' }))).toBe(3 + 0x030281);
  expect(measure(new LengthPrefixCodec('u24', { inclusive: true }))).toBe(0x810203);
  expect(measure(new LengthPrefixCodec('u32', { byteOrder: 'big' }))).toBe(4 + 0x81020384);
  expect(measure(new LengthPrefixCodec('u32', { byteOrder: 'little' }))).toBe(4 + 0x84030281);
});

test('an inclusive length is the length of the frame', () => {
  expect(measure(new LengthPrefixCodec('u16', { inclusive: true }))).toBe(0x8102);
});

test('does not know before the prefix is complete', () => {
  expect(measure(new LengthPrefixCodec('u32'), 4)).toBe(0);
  expect(measure(new LengthPrefixCodec('u16'), 2)).toBe(0);
  expect(measure(new LengthPrefixCodec('u24'), 3)).toBe(0);
  expect(measure(new LengthPrefixCodec('u8'), 2)).not.toBe(0);
});

test('an inclusive length below its prefix is malformed, an equal one an empty frame', () => {
  const codec = new LengthPrefixCodec('u32', { inclusive: true });
  expect(codec.measure(Uint8Array.of(0, 0, 0, 4), 0, 4)).toBe(4);
  expect(() => codec.measure(Uint8Array.of(0, 0, 0, 3), 0, 4)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_FRAME_MALFORMED' }),
  );
});

test('misuse names the argument', () => {
  const unknown = /prefix must be one of u8, u16, u24, u32/;
  expect(() => new LengthPrefixCodec('u64' as never)).toThrow(unknown);
  expect(() => new LengthPrefixCodec('u8', { byteOrder: 'network' as never })).toThrow(/byteOrder/);
  expect(() => new LengthPrefixCodec('u8', { inclusive: 1 as never })).toThrow(/inclusive/);
  expect(() => new LengthPrefixCodec('u8', { endian: 'little' } as never)).toThrow(/endian/);
});
