// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { encodeText } from '../base/bytes.ts';
import { BusbarError, type BusbarErrorCode } from '../base/errors.ts';
import { BufferPool } from '../pool/index.ts';
import type { Codec } from './codec.ts';
import { CustomCodec } from './custom.ts';
import { DelimiterCodec } from './delimiter.ts';
import { FixedCodec } from './fixed.ts';
import { Framer } from './framer.ts';
import type { FramerOptions } from './framer-options.ts';
import { LengthPrefixCodec } from './length-prefix.ts';
import { VarintCodec } from './varint.ts';

function setup(codec: Codec | null, options?: FramerOptions, bufferCount = 4) {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount, batchSize: 1 });
  const framer = new Framer(pool, codec, options);
  return { pool, framer };
}

const LINES = new DelimiterCodec('\n');

function text({ pool, frameOffset, frameLength }: Framer): string {
  return String.fromCharCode(...pool.bytes.subarray(frameOffset, frameOffset + frameLength));
}

function texts(framer: Framer): string[] {
  const found: string[] = [];
  while (framer.next()) found.push(text(framer));
  return found;
}

/** As a kernel does it: fills lent space, as much as it likes. */
function arrive(framer: Framer, what: string): void {
  const offset = framer.lend();
  expect(framer.lentBytes).toBeGreaterThanOrEqual(what.length);
  framer.pool.bytes.set(encodeText(what), offset);
  framer.report(what.length);
  framer.invariants();
}

function held(pool: BufferPool): number {
  return pool.who().threads[0].held;
}

function code(act: () => unknown): BusbarErrorCode | unknown {
  try {
    act();
  } catch (error) {
    return error instanceof BusbarError ? error.code : error;
  }
  return 'nothing thrown';
}

test('frames are found where their bytes arrived', () => {
  const { pool, framer } = setup(LINES);
  const offset = framer.lend();
  expect(framer.lentBytes).toBe(64);
  pool.bytes.set(encodeText('one\n\nthree\nfo'), offset);
  framer.report(13);
  expect(framer.lentBytes).toBe(0);
  expect(framer.next()).toBe(true);
  expect([framer.frameOffset, framer.frameLength]).toEqual([offset, 3]);
  expect(texts(framer)).toEqual(['', 'three']);
  expect(framer.pendingBytes).toBe(2);
  arrive(framer, 'ur\n');
  expect(framer.next()).toBe(true);
  expect(framer.frameOffset).toBe(offset + 11);
  expect(framer.stats()).toMatchObject({ acquires: 1, rewinds: 0, moves: 0, movedBytes: 0 });
});

test('a framer takes its buffer with the first loan and brings it back with close', () => {
  const { pool, framer } = setup(LINES);
  expect(framer.next()).toBe(false);
  expect(held(pool)).toBe(0);
  arrive(framer, 'abc');
  expect(held(pool)).toBe(1);
  framer.close();
  framer.close();
  expect(held(pool)).toBe(0);
  for (const act of [() => framer.next(), () => framer.lend(), () => framer.nextBuffer()]) {
    expect(code(act)).toBe('ERR_BUSBAR_FRAMER_CLOSED');
  }
  expect(code(() => framer.tryWrite(encodeText('x')))).toBe('ERR_BUSBAR_FRAMER_CLOSED');
  expect(code(() => framer.report(1))).toBe('ERR_BUSBAR_FRAMER_CLOSED');
  expect(code(() => framer.takePacket())).toBe('ERR_BUSBAR_NO_FRAME');
});

test('packets outlive the frame, the buffer and the framer', () => {
  const { pool, framer } = setup(LINES);
  arrive(framer, 'first\nsecond\n');
  const first = framer.tryReceive();
  expect(framer.next()).toBe(true);
  const second = framer.takePacket();
  const again = framer.takePacket();
  expect(framer.tryReceive()).toBeUndefined();
  expect(code(() => framer.takePacket())).toBe('ERR_BUSBAR_NO_FRAME');
  arrive(framer, `${'x'.repeat(50)}`);
  framer.lend();
  framer.close();
  expect([first, second, again].map(String)).toEqual(['first', 'second', 'second']);
  for (const packet of [first, second, again]) packet?.release();
  expect(held(pool)).toBe(0);
});

test('a buffer without another holder is used from its beginning again', () => {
  const { pool, framer } = setup(LINES);
  const offset = framer.lend();
  framer.report(0);
  for (let i = 0; i < 10; i++) {
    arrive(framer, 'request\n');
    expect(framer.next()).toBe(true);
    expect(framer.frameOffset).toBe(offset);
    expect(framer.next()).toBe(false);
  }
  expect(framer.stats()).toMatchObject({ acquires: 1, rewinds: 9, moves: 0, movedBytes: 0 });
  arrive(framer, 'kept\n');
  const packet = framer.tryReceive();
  expect(framer.next()).toBe(false);
  expect(framer.lend()).toBe(offset + 5);
  expect(String(packet)).toBe('kept');
  packet?.release();
  framer.close();
  expect(held(pool)).toBe(0);
});

test('a frame that straddles two buffers is moved once, however it arrives, and none other', () => {
  const { pool, framer } = setup(LINES, { readBytesMin: 1 });
  arrive(framer, `${'a'.repeat(29)}\n${'b'.repeat(29)}\n`);
  const packets = [framer.tryReceive(), framer.tryReceive()];
  for (const piece of ['1234', '5', '67', '8'.repeat(20), '9'.repeat(30)]) {
    expect(framer.next()).toBe(false);
    arrive(framer, piece);
  }
  expect(framer.stats()).toMatchObject({ acquires: 2, rewinds: 0, moves: 1, movedBytes: 4 });
  arrive(framer, '\nd');
  expect(texts(framer)).toEqual([`1234567${'8'.repeat(20)}${'9'.repeat(30)}`]);
  expect(framer.stats().moves).toBe(1);
  expect(packets.map(String)).toEqual(['a'.repeat(29), 'b'.repeat(29)]);
  for (const packet of packets) packet?.release();
  framer.close();
  expect(held(pool)).toBe(0);
});

test('a frame that is known to fit stays, however little is left to lend', () => {
  const { framer } = setup(new LengthPrefixCodec('u8'), { readBytesMin: 32 });
  arrive(framer, `\x1d${'a'.repeat(29)}\x20${'b'.repeat(20)}`);
  const packet = framer.tryReceive();
  expect(framer.next()).toBe(false);
  arrive(framer, 'b'.repeat(12));
  expect(texts(framer)).toEqual(['b'.repeat(32)]);
  expect(framer.stats().moves).toBe(0);
  packet?.release();
  framer.close();
});

test('a frame that is known not to fit moves at once, while there is little of it', () => {
  const { framer } = setup(new LengthPrefixCodec('u8'), { readBytesMin: 1 });
  arrive(framer, `\x1d${'a'.repeat(29)}\x28bb`);
  const packet = framer.tryReceive();
  expect(framer.next()).toBe(false);
  arrive(framer, 'b'.repeat(38));
  expect(texts(framer)).toEqual(['b'.repeat(40)]);
  expect(framer.stats()).toMatchObject({ acquires: 2, rewinds: 0, moves: 1, movedBytes: 3 });
  packet?.release();
  framer.close();
});

test('without a frame begun, a rest smaller than readBytesMin is not lent', () => {
  const { framer } = setup(LINES, { readBytesMin: 16 });
  arrive(framer, `${'a'.repeat(47)}\n`);
  const first = framer.tryReceive();
  expect(framer.next()).toBe(false);
  framer.lend();
  expect(framer.lentBytes).toBe(16);
  framer.report(0);
  arrive(framer, '\n');
  const second = framer.tryReceive();
  expect(framer.next()).toBe(false);
  framer.lend();
  expect(framer.lentBytes).toBe(64);
  expect(framer.stats().acquires).toBe(2);
  for (const packet of [first, second]) packet?.release();
  framer.close();
});

test('a loan that is out is lent again, at the same place', () => {
  const { framer } = setup(LINES);
  const offset = framer.lend();
  expect(framer.lend()).toBe(offset);
  arrive(framer, 'a\nb');
  expect(framer.next()).toBe(true);
  const next = framer.lend();
  expect(framer.next()).toBe(false);
  expect(framer.lend()).toBe(next);
  framer.report(0);
  expect(framer.pendingBytes).toBe(1);
});

test('only what was lent can be reported, once', () => {
  const { framer } = setup(LINES);
  expect(() => framer.report(1)).toThrow(RangeError);
  framer.lend();
  expect(() => framer.report(65)).toThrow(/count must be an integer from 0 to 64, got 65/);
  expect(() => framer.report(-1)).toThrow(RangeError);
  expect(() => framer.report(1.5)).toThrow(RangeError);
  expect(() => framer.report('1' as never)).toThrow(TypeError);
  framer.report(64);
  expect(() => framer.report(1)).toThrow(RangeError);
  framer.invariants();
});

test('an exhausted pool makes lend answer -1 and loses nothing', () => {
  const { pool, framer } = setup(LINES, { readBytesMin: 1 }, 1);
  arrive(framer, `${'a'.repeat(31)}\n${'b'.repeat(30)}\nc`);
  const packet = framer.tryReceive();
  expect(framer.lend()).toBe(-1); // not asked for the second frame yet: it is not moved
  expect(texts(framer)).toEqual(['b'.repeat(30)]);
  expect(framer.lend()).toBe(-1); // the rest needs a buffer now, and there is none
  framer.invariants();
  expect(framer.next()).toBe(false);
  packet?.release();
  arrive(framer, 'd\n'); // nobody else holds it: the beginning moves within its buffer
  expect(texts(framer)).toEqual(['cd']);
  expect(framer.stats()).toMatchObject({ acquires: 1, rewinds: 1, moves: 1, movedBytes: 1 });
  framer.close();
  expect(held(pool)).toBe(0);
});

test('when the pool is exhausted, the last bytes of a buffer are lent, then it is given up', () => {
  const { pool, framer } = setup(LINES, { readBytesMin: 32 }, 1);
  arrive(framer, `${'a'.repeat(59)}\n`);
  const packet = framer.tryReceive();
  expect(framer.next()).toBe(false);
  framer.lend();
  expect(framer.lentBytes).toBe(4);
  framer.report(0);
  arrive(framer, 'bcd\n');
  expect(texts(framer)).toEqual(['bcd']);
  expect(framer.lend()).toBe(-1);
  packet?.release();
  expect(held(pool)).toBe(0); // the packet's was the last reference
  arrive(framer, 'on\n');
  expect(texts(framer)).toEqual(['on']);
  framer.close();
});

test('a buffer that the caller has waited for is adopted and used next', async () => {
  const { pool, framer } = setup(LINES, { readBytesMin: 1 }, 1);
  arrive(framer, `${'a'.repeat(63)}\n`);
  const packet = framer.tryReceive();
  expect(framer.lend()).toBe(-1);
  const waiting = pool.acquire();
  packet?.release();
  const bufferId = await waiting;
  framer.provideBuffer(bufferId);
  expect(held(pool)).toBe(1);
  arrive(framer, 'b\n');
  expect(framer.frameBufferId).toBe(bufferId);
  expect(texts(framer)).toEqual(['b']);
  framer.close();
  expect(held(pool)).toBe(0);
});

test('an adopted buffer without use goes back: after a rewind, quiet, closed or not alone', () => {
  const { pool, framer } = setup(LINES);
  framer.provideBuffer(pool.tryAcquire());
  framer.provideBuffer(pool.tryAcquire());
  expect(held(pool)).toBe(1);
  expect(framer.releaseIdle()).toBe(true);
  expect(held(pool)).toBe(0);
  arrive(framer, 'line\n');
  expect(texts(framer)).toEqual(['line']);
  framer.provideBuffer(pool.tryAcquire());
  expect(held(pool)).toBe(2);
  framer.lend();
  expect(held(pool)).toBe(1);
  framer.provideBuffer(pool.tryAcquire());
  framer.close();
  framer.provideBuffer(pool.tryAcquire());
  expect(held(pool)).toBe(0);
  const shared = pool.tryAcquire();
  pool.retain(shared);
  expect(() => framer.provideBuffer(shared)).toThrow(RangeError);
  expect(code(() => framer.provideBuffer(((shared as number) + 1) as typeof shared))).toBe(
    'ERR_BUSBAR_NOT_HELD',
  );
});

test('a quiet framer gives its buffer back, one with bytes or a loan keeps it', () => {
  const { pool, framer } = setup(LINES);
  expect(framer.releaseIdle()).toBe(true);
  framer.lend();
  expect(framer.releaseIdle()).toBe(false);
  framer.report(0);
  arrive(framer, 'abc');
  expect(framer.next()).toBe(false);
  expect(framer.releaseIdle()).toBe(false);
  arrive(framer, '\n');
  expect(texts(framer)).toEqual(['abc']);
  expect(framer.releaseIdle()).toBe(true);
  expect(held(pool)).toBe(0);
  expect(framer.next()).toBe(false);
  arrive(framer, 'back\n');
  expect(texts(framer)).toEqual(['back']);
  framer.close();
});

test('frames of exactly a buffer, and empty ones, are frames', () => {
  const { framer } = setup(new LengthPrefixCodec('u32'));
  for (const length of [60, 0, 60, 1, 60]) {
    const frame = new Uint8Array(4 + length).fill(0x78, 4);
    frame[3] = length;
    expect(framer.feed(frame)).toBe(4 + length);
    expect(texts(framer)).toEqual(['x'.repeat(length)]);
  }
  const lines = setup(LINES).framer;
  arrive(lines, `${'y'.repeat(63)}\n`);
  expect(texts(lines)).toEqual(['y'.repeat(63)]);
  arrive(lines, '\n\n');
  expect(texts(lines)).toEqual(['', '']);
});

test.each([
  ['u8', new LengthPrefixCodec('u8'), Uint8Array.of(32)],
  ['u16', new LengthPrefixCodec('u16'), Uint8Array.of(0, 31)],
  ['u32', new LengthPrefixCodec('u32'), Uint8Array.of(0, 0, 0, 29)],
  ['u32 beyond 2³¹', new LengthPrefixCodec('u32'), Uint8Array.of(0xff, 0xff, 0xff, 0xff)],
  ['u32 inclusive', new LengthPrefixCodec('u32', { inclusive: true }), Uint8Array.of(0, 0, 0, 33)],
  ['varint', new VarintCodec(), Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x7f)],
  ['fixed', new FixedCodec(33), Uint8Array.of(1)],
  ['no delimiter', LINES, encodeText('x'.repeat(32))],
  ['a late delimiter', LINES, encodeText(`${'x'.repeat(32)}\n`)],
])(
  'a frame beyond maxFrameBytes is refused as soon as that is known: %s',
  (_name, codec, bytes) => {
    const { pool, framer } = setup(codec, { maxFrameBytes: 32 });
    framer.feed(bytes);
    expect(code(() => framer.next())).toBe('ERR_BUSBAR_FRAME_TOO_LARGE');
    framer.close();
    expect(held(pool)).toBe(0);
  },
);

test('a frame of exactly maxFrameBytes passes', () => {
  const { framer } = setup(LINES, { maxFrameBytes: 32 });
  framer.feed(encodeText('x'.repeat(31)));
  expect(framer.next()).toBe(false);
  framer.feed(encodeText('\n'));
  expect(framer.next()).toBe(true);
});

test('a failure is final: the same error from then on, and close brings the buffer back', () => {
  const { pool, framer } = setup(new LengthPrefixCodec('u32', { inclusive: true }));
  framer.feed(Uint8Array.of(0, 0, 0, 5, 0x61, 0, 0, 0, 2, 0, 0, 0, 4));
  const packet = framer.tryReceive();
  let failure: unknown;
  try {
    framer.next();
  } catch (error) {
    failure = error;
  }
  expect(failure).toMatchObject({ code: 'ERR_BUSBAR_FRAME_MALFORMED' });
  const calls = [
    () => framer.next(),
    () => framer.tryReceive(),
    () => framer.lend(),
    () => framer.feed(Uint8Array.of(1)),
    () => framer.tryReserve(1),
    () => framer.finishFrame(),
    () => framer.nextBuffer(),
  ];
  for (const call of calls) {
    let again: unknown;
    try {
      call();
    } catch (error) {
      again = error;
    }
    expect(again).toBe(failure);
  }
  expect(framer.releaseIdle()).toBe(false);
  framer.invariants();
  expect(String(packet)).toBe('a');
  packet?.release();
  framer.close();
  expect(held(pool)).toBe(0);
});

test('what a codec throws, and answers that make no sense, fail the framer', () => {
  const own = new Error('mine');
  const answers: [Codec, unknown][] = [
    [
      new CustomCodec(() => {
        throw own;
      }),
      own,
    ],
    [new CustomCodec(() => -1), expect.any(RangeError)],
    [new CustomCodec(() => 1.5), expect.any(RangeError)],
    [new CustomCodec(() => Number.NaN), expect.any(RangeError)],
    [new CustomCodec(() => undefined as never), expect.any(RangeError)],
    [new CustomCodec(() => 2, { payloadSkip: 2, payloadTrim: 1 }), expect.any(RangeError)],
  ];
  for (const [codec, expected] of answers) {
    const { framer } = setup(codec);
    framer.feed(Uint8Array.of(1, 2, 3));
    expect(code(() => framer.next())).toEqual(expected);
    expect(code(() => framer.next())).toEqual(expected);
  }
});

test('a length once known is not asked for again, even if another framer uses the codec', () => {
  let calls = 0;
  const codec = new CustomCodec((bytes, begin, _end, _scanned, self) => {
    calls++;
    self.payloadSkip = bytes[begin] === 0x39 ? 1 : 0;
    return 1 + bytes[begin] - 0x30;
  });
  const { framer } = setup(codec);
  const other = setup(codec).framer;
  framer.feed(encodeText('9abc'));
  expect(framer.next()).toBe(false);
  other.feed(encodeText('1x'));
  expect(texts(other)).toEqual(['1x']);
  for (const letter of 'defgh') {
    framer.feed(encodeText(letter));
    expect(framer.next()).toBe(false);
  }
  framer.feed(encodeText('i'));
  expect(texts(framer)).toEqual(['abcdefghi']);
  expect(calls).toBe(2);
});

test('a subclass of the length prefix codec is asked, not bypassed', () => {
  class Doubled extends LengthPrefixCodec {
    override measure(bytes: Uint8Array, begin: number, end: number): number {
      const total = super.measure(bytes, begin, end);
      return total === 0 ? 0 : 4 + (total - 4) * 2;
    }
  }
  const { framer } = setup(new Doubled('u32'));
  framer.feed(Uint8Array.of(0, 0, 0, 1, 0x61, 0x62));
  expect(texts(framer)).toEqual(['ab']);
});

test('the end of a stream shows in pendingBytes, and its rest can still be had', () => {
  const { framer } = setup(LINES);
  arrive(framer, 'line\nno line');
  expect(texts(framer)).toEqual(['line']);
  expect(framer.pendingBytes).toBe(7);
  expect(framer.finishFrame()).toBe(true);
  expect(text(framer)).toBe('no line');
  expect([framer.pendingBytes, framer.next(), framer.finishFrame()]).toEqual([0, false, false]);
});

test('feed takes what it has space for and says how much', () => {
  const { framer } = setup(LINES);
  const source = encodeText(`${'x'.repeat(40)}\n${'y'.repeat(40)}\n`);
  expect(framer.feed(source)).toBe(64);
  expect(framer.feed(source, 64)).toBe(0);
  expect(texts(framer)).toEqual(['x'.repeat(40)]);
  expect(framer.feed(source, 64)).toBe(18);
  expect(texts(framer)).toEqual(['y'.repeat(40)]);
  expect(() => framer.feed(source, 5, 4)).toThrow(/begin/);
  expect(() => framer.feed(source, 0, 99)).toThrow(/end/);
  expect(() => framer.feed('text' as never)).toThrow(/source/);
});

test('misuse names argument, expectation and value', () => {
  const { pool } = setup(LINES);
  expect(() => new Framer(pool, 'lines' as never)).toThrow(/codec must be/);
  expect(() => new Framer(pool, undefined as never)).toThrow(/codec must be/);
  const skipping = new DelimiterCodec('\n', { tooLong: 'skip' });
  for (const codec of [null, skipping]) {
    expect(() => new Framer(pool, codec, { maxFrameBytes: 65 })).toThrow(
      /maxFrameBytes.*1 to 64.*65/,
    );
  }
  expect(() => new Framer(pool, LINES, { readBytesMin: 0 })).toThrow(/readBytesMin/);
  expect(() => new Framer(pool, LINES, { maxFrameSize: 1 } as never)).toThrow(/maxFrameSize/);
});
