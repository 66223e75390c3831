// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { encodeText } from '../base/bytes.ts';
import { arbitrarySeed, Random } from '../base/random.ts';
import { BufferPool } from '../pool/index.ts';
import { DelimiterCodec } from './delimiter.ts';
import { Framer } from './framer.ts';

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

// ── Frames that are too long, skipped

const SEED = Number(process.env.BUSBAR_SEED ?? arbitrarySeed());
const REPLAY = `replay: BUSBAR_SEED=${SEED} npx vitest run src/framer/delimiter.test.ts`;
const MAX = 8;

const pools = new Map<number, BufferPool>();

/** One for each size: a page has no room for thousands, which live as long as the job. */
function poolOf(bufferSize: number): BufferPool {
  const known = pools.get(bufferSize);
  if (known !== undefined) return known;
  const pool = BufferPool.create({ bufferSize, bufferCount: 2, batchSize: 1 });
  pools.set(bufferSize, pool);
  return pool;
}

/** What a framer delivers when the text arrives in these pieces, and what it skips. */
function framesOf(mark: string, pieces: readonly string[], bufferSize = 64): [string[], number[]] {
  const pool = poolOf(bufferSize);
  const codec = new DelimiterCodec(mark, { tooLong: 'skip' });
  const framer = new Framer(pool, codec, { maxFrameBytes: MAX });
  const frames: string[] = [];
  for (const piece of pieces) {
    const bytes = encodeText(piece);
    for (let at = 0; at < bytes.length; ) {
      at += framer.feed(bytes, at);
      for (let frame = framer.tryReceive(); frame !== undefined; frame = framer.tryReceive()) {
        frames.push(frame.toString());
        frame.release();
      }
      framer.invariants();
      expect(framer.frameLength).toBeLessThanOrEqual(MAX);
    }
  }
  const { skippedFrames, skippedBytes } = framer.stats();
  const counts = [skippedFrames, skippedBytes, framer.pendingBytes];
  framer.close();
  expect(pool.stats().held).toBe(0);
  return [frames, counts];
}

/** The same from the whole text at once, with strings. */
function linesOf(mark: string, text: string): [string[], number[]] {
  const parts = text.split(mark);
  const rest = parts.pop() as string;
  const isLong = (line: string): boolean => line.length + mark.length > MAX;
  const long = parts.filter(isLong);
  let skipped = long.reduce((sum, line) => sum + line.length + mark.length, 0);
  // One without an end is known to be too long when so much of it is there.
  const isRestLong = rest.length >= MAX;
  if (isRestLong) skipped += rest.length - mark.length + 1;
  const lines = parts.filter((line) => !isLong(line));
  return [lines, [long.length + (isRestLong ? 1 : 0), skipped, rest.length]];
}

test.each(['\n', '\r\n', 'aab'])('a frame that is too long is skipped at every cut, %j', (mark) => {
  const long = 'x'.repeat(20);
  for (const line of ['abcdefgh', `${long}a`, `a${long}aa`, '\r\r\r\r\r\r\r\r\r', 'aaaaaaaaaa']) {
    const text = `one${mark}${line}${mark}${mark}two${mark}${line}${line}${mark}three`;
    const expected = linesOf(mark, text);
    for (let i = 0; i <= text.length; i++) {
      for (let j = i; j <= text.length; j++) {
        const pieces = [text.slice(0, i), text.slice(i, j), text.slice(j)];
        expect(framesOf(mark, pieces), JSON.stringify(pieces)).toEqual(expected);
      }
    }
    expect(framesOf(mark, [...text])).toEqual(expected);
  }
});

test('whatever the text and its pieces, what is not too long arrives', () => {
  const random = new Random(SEED);
  for (let run = 0; run < 2000; run++) {
    const mark = ['\n', '\r\n', 'aab', 'abababc'][random.below(4)];
    let text = '';
    for (let i = random.below(300); i > 0; i--) {
      text += random.chance(0.1) ? mark : 'ab\r\nc'[random.below(5)];
    }
    const pieces: string[] = [];
    for (let at = 0; at < text.length; ) {
      const end = at + 1 + random.below(random.chance(0.5) ? 4 : 100);
      pieces.push(text.slice(at, end));
      at = end;
    }
    const bufferSize = [MAX, 10, 64, 256][random.below(4)];
    expect(framesOf(mark, pieces, bufferSize), `${REPLAY}, run ${run}`).toEqual(
      linesOf(mark, text),
    );
  }
});

test('any number of frames that are too long, without recursion and in one buffer', () => {
  const text = 'x'.repeat(8).concat('\n').repeat(50_000);
  expect(framesOf('\n', [`${text}ok\n`], 1 << 20)).toEqual([['ok'], [50_000, 450_000, 0]]);
  expect(framesOf('\n', ['x'.repeat(1 << 20), '\nok\n'])[0]).toEqual(['ok']);
});

test('a stream that ends within a skipped frame has no last frame', () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, batchSize: 1 });
  const codec = new DelimiterCodec('\r\n', { tooLong: 'skip' });
  const framer = new Framer(pool, codec, { maxFrameBytes: MAX });
  framer.feed(encodeText('123456789\r'));
  expect(framer.next()).toBe(false);
  expect(framer.pendingBytes).toBe(10);
  expect(framer.park()).toBe(true);
  expect(framer.pendingBytes).toBe(10);
  expect(framer.finishFrame()).toBe(false);
  expect(framer.pendingBytes).toBe(0);
  expect(framer.stats()).toMatchObject({ skippedFrames: 1, skippedBytes: 10 });
  framer.feed(encodeText('a\r\n'));
  expect(framer.tryReceive()?.toString()).toBe('a');
});

test('without the option, and for other values of it, it stays an error', () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1 });
  const framer = new Framer(pool, new DelimiterCodec('\n'), { maxFrameBytes: MAX });
  framer.feed(encodeText('123456789\n'));
  expect(() => framer.next()).toThrow(/no end within 8 bytes/);
  framer.close();
  expect(() => new DelimiterCodec('\n', { tooLong: 'drop' } as never)).toThrow(/^tooLong must be/);
  expect(() => new DelimiterCodec('\n', { toLong: 'skip' } as never)).toThrow(/"toLong"/);
  const long = new DelimiterCodec('x'.repeat(9), { tooLong: 'skip' });
  expect(() => new Framer(pool, long, { maxFrameBytes: MAX })).toThrow(
    "maxFrameBytes must hold the codec's delimiter, 9 bytes, got 8",
  );
});
