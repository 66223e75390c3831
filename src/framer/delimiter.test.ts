// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { encodeText } from '../base/bytes.ts';
import { DelimiterCodec } from './delimiter.ts';

test('measures up to the end of the first delimiter', () => {
  const bytes = encodeText('xxab\r\ncd\r\n');
  expect(new DelimiterCodec('\r\n').measure(bytes, 2, bytes.length, 0)).toBe(4);
  expect(new DelimiterCodec(Uint8Array.of(0x0a)).measure(bytes, 2, bytes.length, 0)).toBe(4);
  expect(new DelimiterCodec('cd').measure(bytes, 2, bytes.length, 0)).toBe(6);
});

test('a delimiter that straddles two arrivals is found, also behind a false start', () => {
  const bytes = encodeText('aaab aab');
  const codec = new DelimiterCodec('aab');
  for (let seen = 0; seen <= 3; seen++) expect(codec.measure(bytes, 0, seen, 0)).toBe(0);
  for (let seen = 0; seen <= 3; seen++) expect(codec.measure(bytes, 0, 4, seen)).toBe(4);
});

test('does not look again at bytes that cannot begin a delimiter', () => {
  const bytes = encodeText('a--b--');
  const codec = new DelimiterCodec('--');
  // The lie that 4 bytes were seen without a delimiter in them makes it begin at the third.
  expect(codec.measure(bytes, 0, 6, 4)).toBe(6);
  expect(codec.measure(bytes, 0, 6, 2)).toBe(3);
});

test('looks at nothing beyond the end', () => {
  const bytes = encodeText('0123456789\r\n');
  expect(new DelimiterCodec('\r\n').measure(bytes, 0, 11, 0)).toBe(0);
  expect(new DelimiterCodec('\r\n').measure(bytes, 0, 1, 0)).toBe(0);
});

test('keeps a copy of the delimiter and refuses an empty one', () => {
  const delimiter = Uint8Array.of(1, 2);
  const codec = new DelimiterCodec(delimiter);
  delimiter.fill(9);
  expect(codec.measure(Uint8Array.of(9, 1, 2), 0, 3, 0)).toBe(3);
  expect(() => new DelimiterCodec('')).toThrow(RangeError);
  expect(() => new DelimiterCodec([13, 10] as never)).toThrow(/delimiter must be a Uint8Array/);
});
