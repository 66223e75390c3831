// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { CustomCodec } from './custom.ts';
import { DelimiterCodec } from './delimiter.ts';
import { FixedCodec } from './fixed.ts';
import { Framer, LengthPrefixCodec, VarintCodec } from './index.ts';

type Part = readonly [position: number, rest: number, text: string];

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const newPool = (): BufferPool => BufferPool.create({ bufferSize: 64, bufferCount: 3 });

/** Feeds all of it in pieces, and takes what there is after each. */
function partsOf(framer: Framer, stream: Uint8Array, piece: number): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < stream.length; ) {
    at += framer.feed(stream, at, Math.min(at + piece, stream.length));
    framer.invariants();
    while (framer.next()) {
      const { frameOffset, frameLength, framePosition, frameRest, pool } = framer;
      parts.push([framePosition, frameRest, pool.text(frameOffset, frameLength)]);
    }
  }
  return parts;
}

const text = Array.from({ length: 300 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('');

test.each([
  ['u32', new LengthPrefixCodec('u32'), `\0\0\x01\x2c${text}\0\0\0\x02hi`],
  ['u16', new LengthPrefixCodec('u16'), `\x01\x2c${text}\0\x02hi`],
  ['varint', new VarintCodec(), `\x02hi\xac\x02${text}\x02hi`],
  ['fixed', new FixedCodec(300), text + text],
  ['delimiter', new DelimiterCodec('\r\n'), `${text}\r\nhi\r\n`],
  [
    'head, length, end',
    new CustomCodec((bytes, begin) => (bytes[begin] === 60 ? 304 : 4), {
      payloadSkip: 1,
      payloadTrim: 3,
    }),
    `<${text}>..<${text}>..`,
  ],
] as const)('parts add up to the frame, however it was cut: %s', (name, codec, stream) => {
  const bytes = Uint8Array.from(stream, (char) => char.charCodeAt(0));
  for (let piece = 1; piece <= 70; piece++) {
    const pool = newPool();
    const framer = new Framer(pool, codec, { maxFrameBytes: 1000 });
    let whole = '';
    const frames: string[] = [];
    for (const [position, rest, part] of partsOf(framer, bytes, piece)) {
      expect(position).toBe(whole.length);
      if (rest > 0) expect(position + part.length + rest).toBe(300);
      expect(rest === -1).toBe(name === 'delimiter' && rest !== 0);
      expect(part.length > 0 || name === 'delimiter').toBe(true);
      whole += part;
      if (rest !== 0) continue;
      frames.push(whole);
      whole = '';
    }
    expect(whole).toBe('');
    expect(frames.map(({ length }) => length)).toEqual(frames.map((f) => (f === 'hi' ? 2 : 300)));
    expect(frames.filter((frame) => frame === text).length).toBeGreaterThan(0);
    expect(framer.pendingBytes).toBe(0);
    framer.close();
    expect(pool.close()).toMatchObject({ heldByThreads: 0 });
  }
});

test('a frame that fits a buffer comes whole; one byte more comes in parts', () => {
  const framer = new Framer(newPool(), new DelimiterCodec('\n'), { maxFrameBytes: 1000 });
  const fits = 'x'.repeat(63);
  expect(partsOf(framer, encode(`ab\n${fits}\n`), 10)).toEqual([
    [0, 0, 'ab'],
    [0, 0, fits],
  ]);
  expect(partsOf(framer, encode(`${fits}y\n`), 1000)).toEqual([
    [0, -1, `${fits}y`],
    [64, 0, ''],
  ]);
  framer.close();
});

test('what has arrived of a frame is pending until its end, and its rest can be had', () => {
  const framer = new Framer(newPool(), new DelimiterCodec('\n'), { maxFrameBytes: 1000 });
  partsOf(framer, encode(text), 20);
  expect(framer.pendingBytes).toBe(300);
  expect(framer.finishFrame()).toBe(true);
  expect([framer.framePosition, framer.frameRest, framer.frameLength]).toEqual([300, 0, 0]);
  framer.takePacket().release();
  expect([framer.pendingBytes, framer.finishFrame()]).toEqual([0, false]);
  expect(partsOf(framer, encode('next\n'), 9)).toEqual([[0, 0, 'next']]);
  framer.close();
});

test('limits are those of frames: at the limit, beyond it, without a known length', () => {
  const pool = newPool();
  const large = { maxFrameBytes: 304 };
  const prefix = new LengthPrefixCodec('u32');
  const tooLarge = expect.objectContaining({ code: 'ERR_BUSBAR_FRAME_TOO_LARGE' });
  using whole = new Framer(pool, prefix, large);
  expect(partsOf(whole, encode(`\0\0\x01\x2c${text}`), 64).length).toBeGreaterThan(4);
  using beyond = new Framer(pool, prefix, large);
  expect(() => partsOf(beyond, encode('\0\0\x01\x2dx'), 64)).toThrow(tooLarge);
  for (const length of [302, 303]) {
    using lines = new Framer(pool, new DelimiterCodec('\r\n'), large);
    const line = encode(`${'x'.repeat(length)}\r\n`);
    if (length === 302) expect(partsOf(lines, line, 7).at(-1)?.[1]).toBe(0);
    else expect(() => partsOf(lines, line, 7)).toThrow(tooLarge);
  }
  // No length within a buffer, and a head that no buffer holds together with a byte.
  const never = new CustomCodec(() => 0);
  const allHead = new CustomCodec(() => 300, { payloadSkip: 60, payloadTrim: 4 });
  for (const codec of [never, allHead]) {
    using framer = new Framer(pool, codec, large);
    expect(() => partsOf(framer, encode(text), 50)).toThrow(tooLarge);
  }
  using huge = new Framer(pool, prefix, { maxFrameBytes: 2 ** 40 });
  const head = Uint8Array.of(255, 255, 255, 255, 7);
  huge.feed(head);
  expect([huge.next(), huge.frameRest]).toEqual([true, 2 ** 32 - 2]);
});
