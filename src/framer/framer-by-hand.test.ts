// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { encodeText } from '../base/bytes.ts';
import { BufferPool } from '../pool/index.ts';
import { DelimiterCodec } from './delimiter.ts';
import { Framer } from './framer.ts';
import type { FramerOptions } from './framer-options.ts';

function setup(options?: FramerOptions, bufferCount = 3) {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount, batchSize: 1 });
  return { pool, framer: new Framer(pool, null, options) };
}

function write(framer: Framer, text: string): boolean {
  const written = framer.tryWrite(encodeText(text));
  framer.invariants();
  return written;
}

test('a source that lies of its length leaves nothing lent', () => {
  const { framer } = setup();
  const lying = Object.defineProperty(new Uint8Array(30), 'length', { value: 60 });
  expect(() => framer.feed(lying)).toThrow(RangeError);
  expect(() => framer.tryWrite(lying)).toThrow(RangeError);
  expect(framer.lentBytes).toBe(0);
  framer.invariants();
  write(framer, 'ab');
  expect(framer.feed(new Uint8Array(3))).toBe(3);
  expect(framer.pendingBytes).toBe(5);
});

test('bytes are written, the frame ends where the caller says', () => {
  const { pool, framer } = setup();
  expect(write(framer, 'hel')).toBe(true);
  expect(write(framer, 'lo')).toBe(true);
  expect(framer.pendingBytes).toBe(5);
  expect(framer.finishFrame()).toBe(true);
  const hello = framer.takePacket();
  expect(write(framer, 'world')).toBe(true);
  expect(framer.finishFrame()).toBe(true);
  expect(framer.frameOffset).toBe(hello.offset + 5);
  const world = framer.takePacket();
  expect(`${hello} ${world}`).toBe('hello world');
  expect(framer.finishFrame()).toBe(false);
  for (const packet of [hello, world]) packet.release();
  framer.close();
  expect(pool.who().threads[0].held).toBe(0);
});

test('a reservation is filled in place and committed as far as it was used', () => {
  const { pool, framer } = setup();
  const offset = framer.tryReserve(8);
  pool.view.setUint32(offset, 0xcafe);
  framer.commit(4);
  const rest = framer.tryReserve(8);
  expect(rest).toBe(offset + 4);
  expect(framer.tryReserve(2)).toBe(rest); // nothing was committed: the same place
  pool.view.setUint16(rest, 7);
  framer.commit(2);
  expect(() => framer.commit(1)).toThrow(RangeError);
  expect(framer.finishFrame()).toBe(true);
  expect([framer.frameOffset, framer.frameLength]).toEqual([offset, 6]);
});

test('a frame begun is moved when the buffer cannot hold it, once', () => {
  const { framer } = setup();
  write(framer, 'a'.repeat(50));
  framer.finishFrame();
  const first = framer.takePacket();
  for (const piece of ['b'.repeat(10), 'c'.repeat(30), 'd'.repeat(24)]) {
    expect(write(framer, piece)).toBe(true);
  }
  expect(framer.finishFrame()).toBe(true);
  const second = framer.takePacket();
  expect(framer.stats()).toMatchObject({ acquires: 2, rewinds: 0, moves: 1, movedBytes: 10 });
  expect(String(first)).toBe('a'.repeat(50));
  expect(String(second)).toBe(`${'b'.repeat(10)}${'c'.repeat(30)}${'d'.repeat(24)}`);
  for (const packet of [first, second]) packet.release();
  framer.close();
});

test('nextBuffer makes a whole buffer available to the frame begun', () => {
  const { framer } = setup();
  expect(framer.nextBuffer()).toBe(true);
  expect(framer.stats().acquires).toBe(1);
  write(framer, 'x');
  framer.finishFrame();
  const packet = framer.takePacket();
  write(framer, 'yz');
  expect(framer.nextBuffer()).toBe(true);
  expect(framer.nextBuffer()).toBe(true);
  expect(framer.stats()).toMatchObject({ acquires: 2, rewinds: 0, moves: 1, movedBytes: 2 });
  expect(framer.tryReserve(62)).not.toBe(-1);
  packet.release();
  framer.close();
});

test('a lone framer needs one buffer for any number of frames', () => {
  const { framer } = setup();
  for (let i = 0; i < 100; i++) {
    expect(write(framer, `message ${i}`)).toBe(true);
    expect(framer.finishFrame()).toBe(true);
  }
  expect(framer.stats().acquires).toBe(1);
});

test('an exhausted pool answers "not now" and keeps the frame begun', () => {
  const { framer } = setup({}, 1);
  write(framer, 'a'.repeat(60));
  framer.finishFrame();
  const packet = framer.takePacket();
  expect(write(framer, 'bcd')).toBe(true);
  expect(write(framer, 'ef')).toBe(false);
  expect(framer.tryReserve(2)).toBe(-1);
  expect(framer.nextBuffer()).toBe(false);
  expect(framer.pendingBytes).toBe(3);
  packet.release();
  expect(write(framer, 'ef')).toBe(true);
  framer.finishFrame();
  expect(String(framer.takePacket())).toBe('bcdef');
});

test('a frame beyond maxFrameBytes is refused before it is stored, and the framer goes on', () => {
  const { framer } = setup({ maxFrameBytes: 10 });
  const tooLarge = expect.objectContaining({ code: 'ERR_BUSBAR_FRAME_TOO_LARGE' });
  expect(write(framer, '1234567')).toBe(true);
  expect(() => write(framer, '8901')).toThrow(tooLarge);
  expect(() => framer.tryReserve(4)).toThrow(tooLarge);
  expect(write(framer, '890')).toBe(true);
  expect(framer.finishFrame()).toBe(true);
  expect(framer.frameLength).toBe(10);
  expect(() => framer.tryReserve(11)).toThrow(tooLarge);
});

test('with a codec, written bytes stand for arrivals', () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1 });
  const framer = new Framer(pool, new DelimiterCodec('\n'), { maxFrameBytes: 20 });
  expect(write(framer, `${'x'.repeat(19)}\n${'y'.repeat(19)}\n`)).toBe(true);
  expect(write(framer, 'z'.repeat(30))).toBe(false); // frames wait that nobody has asked for
  expect([framer.next(), framer.next(), framer.next()]).toEqual([true, true, false]);
  expect(write(framer, 'z'.repeat(10))).toBe(true);
  expect(() => framer.tryReserve(55)).not.toThrow();
});

test('misuse names the argument; next needs a codec', () => {
  const { framer } = setup();
  const source = encodeText('four');
  expect(() => framer.tryWrite('ab' as never)).toThrow(/^source must be a Uint8Array, got "ab"/);
  expect(() => framer.tryWrite(source, 3, 2)).toThrow(/begin/);
  expect(() => framer.tryWrite(source, 0, 5)).toThrow(/end/);
  expect(() => framer.tryWrite(source, 0.5, 1.5)).toThrow(/begin|end/);
  expect(() => framer.tryWrite('four' as never)).toThrow(/source/);
  expect(() => framer.tryReserve(-1)).toThrow(/length/);
  expect(() => framer.tryReserve(0.5)).toThrow(/length/);
  expect(framer.tryWrite(source, 2, 2)).toBe(true);
  expect(framer.tryWrite(source, 1, 3)).toBe(true);
  expect(() => framer.next()).toThrow(/codec/);
});

test('a range that could only become one is refused, and nothing is written', () => {
  const { framer } = setup();
  const bytes = encodeText('hello');
  for (const wrong of ['', '3', null, NaN, 1n, 1.5, -1, 6, [], { valueOf: () => 0 }]) {
    expect(() => framer.tryWrite(bytes, 0, wrong as number)).toThrow(/^end must be an integer/);
    expect(() => framer.feed(bytes, wrong as number, 5)).toThrow(/^begin must be an integer/);
  }
  expect(framer.pendingBytes).toBe(0);
  framer.close();
});
