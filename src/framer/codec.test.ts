// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { encodeText } from '../base/bytes.ts';
import { BusbarError } from '../base/errors.ts';
import { BufferPool } from '../pool/index.ts';
import { ByteFinder } from './byte-finder.ts';
import type { Codec } from './codec.ts';
import { Framer } from './framer.ts';

/**
 * `PUT name 5⏎hello⏎` has a payload, every other line is a frame of its own; lines end in CR LF, as
 * in NATS.
 */
class LineCodec implements Codec {
  payloadSkip = 0;
  payloadTrim = 2;
  /** For the test: bytes that were looked at, and questions asked. */
  examined = 0;
  calls = 0;
  readonly #finder = new ByteFinder(0x0a);

  measure(bytes: Uint8Array, begin: number, end: number, scanned: number): number {
    this.calls++;
    const lineEnd = this.#finder.find(bytes, begin + scanned, end);
    this.examined += (lineEnd < 0 ? end : lineEnd + 1) - begin - scanned;
    if (lineEnd < 0) return 0;
    if (bytes[lineEnd - 1] !== 0x0d || lineEnd === begin) fail('a line must end in CR LF');
    const lineBytes = lineEnd + 1 - begin;
    if (bytes[begin] !== 0x50 || bytes[begin + 1] !== 0x55) {
      this.payloadSkip = 0;
      return lineBytes;
    }
    this.payloadSkip = lineBytes;
    let length = 0;
    let scale = 1;
    for (let at = lineEnd - 2; at > begin && bytes[at] !== 0x20; at--, scale *= 10) {
      const digit = bytes[at] - 0x30;
      if (!(digit >= 0 && digit <= 9)) fail('the length must be a number');
      length += digit * scale;
    }
    if (scale === 1) fail('the length is missing');
    return lineBytes + length + 2;
  }
}

function fail(detail: string): never {
  throw new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', detail);
}

const PAYLOAD = `hel\r\nlo PUT x 5\r\n${'z'.repeat(150)}`;
const STREAM = `PING\r\nPUT a.b 0\r\n\r\nPUT c ${PAYLOAD.length}\r\n${PAYLOAD}\r\nPONG\r\n`;
const FRAMES = ['PING', '', PAYLOAD, 'PONG'];

function run(codec: LineCodec, pieces: string[]): string[] {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 2 });
  const framer = new Framer(pool, codec);
  const found: string[] = [];
  for (const piece of pieces) {
    expect(framer.feed(encodeText(piece))).toBe(piece.length);
    for (let packet = framer.tryReceive(); packet; packet = framer.tryReceive()) {
      found.push(String(packet));
      packet.release();
    }
  }
  framer.close();
  expect(pool.who().threads[0].held).toBe(0);
  return found;
}

test('a length inside a line frames a text protocol, wherever the stream is cut', () => {
  for (let first = 0; first <= STREAM.length; first++) {
    const pieces = [STREAM.slice(0, first), STREAM.slice(first)];
    expect(run(new LineCodec(), pieces)).toEqual(FRAMES);
  }
});

test('no payload is looked at, and no byte of a line twice, though it arrives byte by byte', () => {
  const codec = new LineCodec();
  expect(run(codec, [...STREAM])).toEqual(FRAMES);
  const payloadBytes = PAYLOAD.length + 2 * 2; // and the line end behind each of the two payloads
  expect(codec.examined).toBe(STREAM.length - payloadBytes);
  expect(codec.calls).toBe(codec.examined);
});

test('the header of the current frame lies payloadSkip bytes before its payload', () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 1 });
  const codec = new LineCodec();
  const framer = new Framer(pool, codec);
  framer.feed(encodeText('PUT some.name 2\r\nhi\r\n'));
  expect(framer.next()).toBe(true);
  const header = pool.bytes.slice(framer.frameOffset - codec.payloadSkip, framer.frameOffset);
  expect(new TextDecoder().decode(header)).toBe('PUT some.name 2\r\n');
});

test('a length that is none, or beyond the limit, is refused with the end of its line', () => {
  for (const [line, code] of [
    ['PUT a 12x\r\n', 'ERR_BUSBAR_FRAME_MALFORMED'],
    ['PUT a \r\n', 'ERR_BUSBAR_FRAME_MALFORMED'],
    ['PING\n', 'ERR_BUSBAR_FRAME_MALFORMED'],
    ['PUT a 999999999999\r\n', 'ERR_BUSBAR_FRAME_TOO_LARGE'],
    ['PUT a 244\r\n', 'ERR_BUSBAR_FRAME_TOO_LARGE'],
  ]) {
    expect(() => run(new LineCodec(), [line])).toThrow(expect.objectContaining({ code }));
  }
  expect(run(new LineCodec(), ['PUT a 243\r\n'])).toEqual([]);
});
