// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { encodeText } from '../base/bytes.ts';
import { DelimiterCodec, Framer, LengthPrefixCodec } from '../framer/index.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from './index.ts';

const textOf = (pool: BufferPool, at: number, length: number): string =>
  new TextDecoder('latin1').decode(pool.bytes.slice(at, at + length));

test('debug: bytes of a released buffer are 0xDD, of a held one they are not', () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, debug: true });
  const packet = Packet.tryFrom(pool, encodeText('hello')) as Packet;
  const { offset } = packet;
  const other = packet.clone();
  packet.release();
  expect(textOf(pool, offset, 5)).toBe('hello');
  other.release();
  expect(textOf(pool, offset, 5)).toBe('\xdd'.repeat(5));
  for (let i = 0; i < 100; i++) pool.release(pool.tryAcquire());
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});

test('without debug they stay', () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, debug: false });
  const packet = Packet.tryFrom(pool, encodeText('hello')) as Packet;
  const { offset } = packet;
  packet.release();
  expect(textOf(pool, offset, 5)).toBe('hello');
});

test.each([
  ['u32', () => new LengthPrefixCodec('u32'), '\0\0\0\x03one\0\0\0\x03two'],
  ['lines', () => new DelimiterCodec('\n'), 'one\ntwo\n'],
])('debug: a frame that was overtaken is 0xDD, unless it was kept: %s', (_name, codec, text) => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, debug: true });
  const framer = new Framer(pool, codec());
  framer.feed(encodeText(text));
  expect(framer.next()).toBe(true);
  const first = framer.frameOffset;
  expect(textOf(pool, first, 3)).toBe('one');
  expect(framer.next()).toBe(true);
  expect(textOf(pool, first, 3)).toBe('\xdd\xdd\xdd');
  const kept = framer.takePacket();
  expect(framer.next()).toBe(false);
  expect(kept.toString()).toBe('two');
  kept.release();
  framer.close();
});
