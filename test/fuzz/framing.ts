// SPDX-License-Identifier: MIT
/**
 * Fuzz target: a framer, with random streams in random pieces, against decoders that have the whole
 * stream at once. Some limits are beyond a buffer: then frames come in parts.
 */
import { encodeText } from '../../src/base/bytes.ts';
import { BusbarError } from '../../src/base/errors.ts';
import { Random } from '../../src/base/random.ts';
import type { Codec } from '../../src/framer/codec.ts';
import { CustomCodec } from '../../src/framer/custom.ts';
import { DelimiterCodec } from '../../src/framer/delimiter.ts';
import { FixedCodec } from '../../src/framer/fixed.ts';
import { Framer } from '../../src/framer/framer.ts';
import { type LengthPrefix, LengthPrefixCodec } from '../../src/framer/length-prefix.ts';
import { VarintCodec } from '../../src/framer/varint.ts';
import { type BufferId, BufferPool, NO_BUFFER } from '../../src/pool/index.ts';
import type { SeedTarget } from './target.ts';

const TOO_LARGE = 'ERR_BUSBAR_FRAME_TOO_LARGE';
const MALFORMED = 'ERR_BUSBAR_FRAME_MALFORMED';

// ── The oracle: one frame at the beginning of everything that is left
// ────────────────────────────────────

/**
 * A frame's total, and what lies around its payload; or 0: not known from these bytes; or what is
 * wrong.
 */
type Measured = readonly [total: number, skip: number, trim: number] | 0 | typeof MALFORMED;

export interface FramingCase {
  readonly name: string;
  readonly codec: Codec;
  readonly measure: (bytes: Uint8Array, begin: number, end: number) => Measured;
  /** What stands before and after `length` bytes of payload. */
  readonly around: (length: number) => readonly [before: Uint8Array, after: Uint8Array];
}

export interface Decoded {
  readonly payloads: readonly (readonly [begin: number, end: number])[];
  readonly consumed: number;
  readonly error: string | undefined;
  /** Frames that were too long, and their bytes: of the last one, as far as there is no end. */
  readonly skippedFrames: number;
  readonly skippedBytes: number;
}

/** `markBytes`: those of a mark by which too long frames are skipped; 0: they are an error. */
export function decode(
  bytes: Uint8Array,
  measure: FramingCase['measure'],
  maxFrameBytes: number,
  markBytes: number = 0,
): Decoded {
  const payloads: [number, number][] = [];
  const end = bytes.length;
  let consumed = 0;
  let skippedFrames = 0;
  let skippedBytes = 0;
  const ended = (error?: string): Decoded => {
    return { payloads, consumed, error, skippedFrames, skippedBytes };
  };
  while (consumed < end) {
    const measured = measure(bytes, consumed, Math.min(end, consumed + maxFrameBytes));
    if (measured === MALFORMED) return ended(MALFORMED);
    if (measured === 0) {
      if (end - consumed < maxFrameBytes) return ended();
      if (markBytes === 0) return ended(TOO_LARGE);
      skippedFrames++;
      const whole = measure(bytes, consumed, end);
      const length = typeof whole === 'object' ? whole[0] : end - consumed - markBytes + 1;
      skippedBytes += length;
      if (whole === 0) return ended();
      consumed += length;
      continue;
    }
    const [total, skip, trim] = measured;
    if (total > maxFrameBytes) return ended(TOO_LARGE);
    if (consumed + total > end) break;
    payloads.push([consumed + skip, consumed + total - trim]);
    consumed += total;
  }
  return ended();
}

const NOTHING = new Uint8Array(0);

function prefixCase(prefix: LengthPrefix, little: boolean, inclusive: boolean): FramingCase {
  const bytes = { u8: 1, u16: 2, u24: 3, u32: 4 }[prefix];
  const own = inclusive ? bytes : 0;
  return {
    name: `${prefix} ${little ? 'little' : 'big'}${inclusive ? ' inclusive' : ''}`,
    codec: new LengthPrefixCodec(prefix, { byteOrder: little ? 'little' : 'big', inclusive }),
    measure: (stream, begin, end) => {
      if (end - begin < bytes) return 0;
      let value = 0;
      for (let i = 0; i < bytes; i++)
        value += stream[begin + (little ? i : bytes - 1 - i)] * 256 ** i;
      return value < own ? MALFORMED : [value - own + bytes, bytes, 0];
    },
    around: (length) => {
      const before = new Uint8Array(bytes);
      const value = length + own;
      for (let i = 0; i < bytes; i++) before[little ? i : bytes - 1 - i] = value / 256 ** i;
      return [before, NOTHING];
    },
  };
}

function varintCase(inclusive: boolean): FramingCase {
  return {
    name: `varint${inclusive ? ' inclusive' : ''}`,
    codec: new VarintCodec({ inclusive }),
    measure: (bytes, begin, end) => {
      let last = begin;
      while (last < end && bytes[last] >= 128) last++;
      if (last - begin >= 5) return MALFORMED;
      if (last === end) return 0;
      let value = 0;
      for (let i = last; i >= begin; i--) value = value * 128 + (bytes[i] % 128);
      const skip = last + 1 - begin;
      if (inclusive && value < skip) return MALFORMED;
      return [inclusive ? value : value + skip, skip, 0];
    },
    around: (length) => {
      const value = inclusive ? length + 2 : length;
      const pad = inclusive || length > 127 || length % 3 === 0; // two groups where one would do
      return [pad ? Uint8Array.of(128 + (value % 128), value >> 7) : Uint8Array.of(value), NOTHING];
    },
  };
}

function delimiterCase(delimiter: string, tooLong: 'error' | 'skip' = 'error'): FramingCase {
  const mark = encodeText(delimiter);
  return {
    name: `delimiter ${JSON.stringify(delimiter)}, ${tooLong}`,
    codec: new DelimiterCodec(delimiter, { tooLong }),
    measure: (bytes, begin, end) => {
      for (let last = begin + mark.length; last <= end; last++) {
        let i = mark.length;
        while (i > 0 && bytes[last - i] === mark[mark.length - i]) i--;
        if (i === 0) return [last - begin, 0, mark.length];
      }
      return 0;
    },
    around: () => [NOTHING, mark],
  };
}

function fixedCase(bytes: number): FramingCase {
  return {
    name: `fixed ${bytes}`,
    codec: new FixedCodec(bytes),
    measure: () => [bytes, 0, 0],
    around: () => [NOTHING, NOTHING],
  };
}

/**
 * `<digits>:` and that many bytes and `,`: a net string, as a custom function that keeps nothing.
 */
const netString: FramingCase = {
  name: 'custom',
  codec: new CustomCodec(
    (bytes, begin, end, scanned, codec) => {
      let at = begin + scanned;
      for (; at < end && bytes[at] !== 0x3a; at++) {
        if (at - begin >= 4 || bytes[at] < 0x30 || bytes[at] > 0x39) {
          throw new BusbarError(MALFORMED);
        }
      }
      if (at === end) return 0;
      let length = 0;
      for (let i = begin; i < at; i++) length = length * 10 + bytes[i] - 0x30;
      codec.payloadSkip = at + 1 - begin;
      return codec.payloadSkip + length + 1;
    },
    { payloadTrim: 1 },
  ),
  measure: (bytes, begin, end) => {
    const head = String.fromCharCode(...bytes.subarray(begin, Math.min(end, begin + 5)));
    const found = /^(\d{0,4}):/.exec(head);
    if (found) return [found[0].length + Number(found[1]) + 1, found[0].length, 1];
    return /^\d{0,4}$/.test(head) ? 0 : MALFORMED;
  },
  around: (length) => [encodeText(`${length}:`), encodeText(',')],
};

export const FRAMING_CASES: readonly FramingCase[] = [
  ...[false, true].flatMap((inclusive) => [
    prefixCase('u8', false, inclusive),
    prefixCase('u16', false, inclusive),
    prefixCase('u16', true, inclusive),
    prefixCase('u24', false, inclusive),
    prefixCase('u24', true, inclusive),
    prefixCase('u32', false, inclusive),
    prefixCase('u32', true, inclusive),
    varintCase(inclusive),
  ]),
  ...['\n', '\r\n', 'aab', 'abababc'].map((mark) => delimiterCase(mark)),
  ...[1, 7, 64].map(fixedCase),
  netString,
  ...['\n', '\r\n', 'aab', 'abababc'].map((mark) => delimiterCase(mark, 'skip')),
];

// ── A stream: mostly frames, now and then at a limit, cut off or no frame at all
// ─────────────────────────

const ALPHABET = encodeText('ab\r\n:,09c\0');
const stream = new Uint8Array(32_768);

function makeStream(
  random: Random,
  { around, codec }: FramingCase,
  maxFrameBytes: number,
): Uint8Array {
  let size = 0;
  const put = (bytes: Uint8Array): void => {
    stream.set(bytes, size);
    size += bytes.length;
  };
  for (let frames = random.below(10); frames > 0; frames--) {
    let length = random.below(random.chance(0.7) ? 12 : maxFrameBytes);
    const [head, tail] = around(maxFrameBytes);
    const atLimit = Math.max(0, maxFrameBytes - head.length - tail.length);
    if (random.chance(0.1)) length = atLimit - Math.min(atLimit, random.below(3));
    if (codec.tooLong === 'skip') {
      if (random.chance(0.3)) length = atLimit + 1 + random.below(4 * maxFrameBytes);
    } else if (random.chance(0.01)) length = atLimit + 1 + random.below(3);
    const [before, after] = around(length);
    put(before);
    for (; length > 0; length--) stream[size++] = ALPHABET[random.below(ALPHABET.length)];
    put(after);
    if (random.chance(0.02)) stream[size++] = random.below(256);
  }
  return stream.subarray(0, random.chance(0.2) ? random.below(size + 1) : size);
}

// ── One run
// ─────────────────────────────────────────────────────────────────────────────────────────────

const POOLS = [64, 100, 256].flatMap((bufferSize) =>
  [1, 2, 4].map((bufferCount) => BufferPool.create({ bufferSize, bufferCount, batchSize: 1 })),
);

class FramingRun {
  readonly #random: Random;
  readonly #pool: BufferPool;
  readonly #framer: Framer;
  readonly #stream: Uint8Array;
  readonly #expected: Decoded;
  /** Frames and parts kept by a reference: buffer, offset, where the same lies in the stream. */
  readonly #kept: [BufferId, number, number, number][] = [];
  /** Where the payload of a frame that the stream does not end begins. */
  readonly #lastBegin: number;
  /** Bytes of the present frame that came in parts. */
  #position = 0;
  #arrived = 0;
  #delivered = 0;
  #moves = 0;
  #skippedFrames = 0;
  #failed = false;

  constructor(seed: number, fuzzed: FramingCase) {
    const random = new Random(seed);
    const pool = POOLS[random.below(POOLS.length)];
    const { codec, measure } = fuzzed;
    const isLarge = codec.tooLong !== 'skip' && random.chance(0.4);
    const longest = isLarge ? 8 * pool.bufferSize : pool.bufferSize;
    const maxFrameBytes = random.chance(0.5) ? longest : random.between(8, longest);
    const readBytesMin = random.between(1, pool.bufferSize);
    this.#random = random;
    this.#pool = pool;
    this.#framer = new Framer(pool, fuzzed.codec, { maxFrameBytes, readBytesMin });
    this.#stream = makeStream(random, fuzzed, maxFrameBytes);
    const markBytes = codec.tooLong === 'skip' ? codec.payloadTrim : 0;
    this.#expected = decode(this.#stream, measure, maxFrameBytes, markBytes);
    const { consumed } = this.#expected;
    const rest = measure(this.#stream, consumed, this.#stream.length);
    this.#lastBegin = consumed + (typeof rest === 'object' ? rest[1] : 0);
  }

  go(): void {
    const random = this.#random;
    let refused = 0;
    while (this.#arrived < this.#stream.length && !this.#failed) {
      const wish = random.below(random.chance(0.5) ? 8 : this.#stream.length) + 1;
      const count = this.#arrive(Math.min(wish, this.#stream.length - this.#arrived));
      this.#arrived += count;
      this.#framer.invariants();
      refused = count > 0 ? 0 : refused + 1;
      check(refused < 20, 'no progress');
      if (random.chance(0.7) || refused > 0) this.#takeAll();
      else if (random.chance(0.5)) this.#take();
      if (refused > 0 || random.chance(0.1)) this.#dropKept();
      while (refused > 5 && this.#kept.length > 0) this.#dropKept();
      if (random.chance(0.05)) this.#framer.releaseIdle();
      if (random.chance(0.02)) this.#adopt();
    }
    this.#takeAll();
    this.#finish();
  }

  /** Brings up to `count` bytes in, one way or another; returns their number. */
  #arrive(count: number): number {
    const framer = this.#framer;
    const bytes = this.#stream;
    const begin = this.#arrived;
    const way = this.#random.below(4);
    if (way === 0) return framer.feed(bytes, begin, begin + count);
    if (way === 1) {
      const room = this.#pool.bufferSize - framer.keptBytes;
      if (room === 0) return 0;
      const written = Math.min(count, room);
      return framer.tryWrite(bytes, begin, begin + written) ? written : 0;
    }
    const offset = framer.lend();
    if (offset < 0) return 0;
    check(framer.lentBytes > 0, 'nothing was lent');
    const lent = Math.min(count, framer.lentBytes);
    this.#pool.bytes.set(bytes.subarray(begin, begin + lent), offset);
    if (way === 2) this.#take(); // frames are delivered while space is lent
    check(this.#failed || framer.lend() === offset, 'a loan has moved');
    framer.report(lent);
    return lent;
  }

  #adopt(): void {
    const bufferId = this.#pool.tryAcquire();
    if (bufferId !== NO_BUFFER) this.#framer.provideBuffer(bufferId);
  }

  #takeAll(): void {
    while (this.#take());
  }

  /** Goes to the next frame and compares it; false: there was none. */
  #take(): boolean {
    const framer = this.#framer;
    const { payloads, error } = this.#expected;
    if (this.#failed) return false;
    try {
      if (!framer.next()) return false;
    } catch (thrown) {
      this.#failed = true;
      if (!((thrown as BusbarError).code === error))
        throw new Error(`threw ${thrown}, expected ${error}`);
      if (!(this.#delivered === payloads.length))
        throw new Error(`only ${this.#delivered} frames before ${error}`);
      return false;
    }
    const { frameOffset, frameLength, framePosition, frameRest } = framer;
    const isLast = frameRest === 0;
    const [begin, end] = payloads[this.#delivered] ?? [this.#lastBegin, Infinity];
    check(end < Infinity || !isLast, 'a frame too many');
    check(framePosition === this.#position, 'a part at the wrong place');
    const left = end - begin - framePosition - frameLength;
    if (isLast) check(left === 0, `frame ${this.#delivered}: ${left} bytes less than expected`);
    else check(frameLength > 0 && left >= 0, 'a part of the wrong length');
    if (frameRest > 0) check(left === frameRest || end === Infinity, 'the wrong rest');
    this.#position = isLast ? 0 : framePosition + frameLength;
    const isPart = !isLast || framePosition > 0;
    const isBig = end - begin + 16 > this.#pool.bufferSize;
    check(!isPart || isBig, 'a frame in parts that fits a buffer');
    this.#compare(frameOffset, begin + framePosition, frameLength);
    const { moves, skippedFrames } = framer.stats();
    // What may begin the mark of a skipped frame is moved whenever room is made.
    const hasSkipped = skippedFrames > this.#skippedFrames;
    // So is what may begin the mark of a part.
    check(moves - this.#moves <= 1 || hasSkipped || isPart, 'a frame was moved twice');
    this.#moves = moves;
    this.#skippedFrames = skippedFrames;
    if (this.#random.chance(0.2)) {
      this.#pool.retain(framer.frameBufferId);
      const from = begin + framePosition;
      this.#kept.push([framer.frameBufferId, frameOffset, from, frameLength]);
    }
    if (isLast) this.#delivered++;
    return true;
  }

  #compare(offset: number, begin: number, length: number): void {
    for (let i = 0; i < length; i++) {
      if (!(this.#pool.bytes[offset + i] === this.#stream[begin + i]))
        throw new Error(`byte ${begin + i} of the stream`);
    }
  }

  #dropKept(): void {
    const kept = this.#kept.splice(this.#random.below(this.#kept.length + 1), 1)[0];
    if (kept === undefined) return;
    const [bufferId, offset, begin, length] = kept;
    this.#compare(offset, begin, length);
    this.#pool.release(bufferId);
  }

  #finish(): void {
    const { payloads, consumed, error, skippedFrames, skippedBytes } = this.#expected;
    if (!this.#failed) {
      const stats = this.#framer.stats();
      check(stats.skippedFrames === skippedFrames, 'skippedFrames');
      check(stats.skippedBytes === skippedBytes, 'skippedBytes');
      if (!(error === undefined)) throw new Error(`expected ${error}, nothing was thrown`);
      if (!(this.#delivered === payloads.length)) throw new Error(`${this.#delivered} frames only`);
      check(this.#framer.pendingBytes === this.#stream.length - consumed, 'pendingBytes');
    }
    while (this.#kept.length > 0) this.#dropKept();
    this.#framer.close();
    const { bufferCount } = this.#pool;
    const free: BufferId[] = [];
    for (let id = this.#pool.tryAcquire(); id !== NO_BUFFER; id = this.#pool.tryAcquire()) {
      free.push(id);
    }
    for (const id of free) this.#pool.release(id);
    if (!(free.length === bufferCount))
      throw new Error(`${bufferCount - free.length} buffers did not come home`);
  }
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

/** One stream through one framer: which codec, which stream and which pieces, the seed says. */
export const framing: SeedTarget = {
  name: 'framing',
  execution: 'one random stream through one framer',
  executionsInTests: 2_000,
  run(seed) {
    const fuzzed = FRAMING_CASES[seed % FRAMING_CASES.length];
    try {
      new FramingRun(seed, fuzzed).go();
    } catch (cause) {
      throw new Error(`${fuzzed.name}: ${cause}`, { cause });
    }
  },
};
