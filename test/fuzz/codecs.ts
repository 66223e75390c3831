// SPDX-License-Identifier: MIT
/**
 * Fuzz target: a codec alone, with arbitrary bytes in pieces, against a decoder that sees all bytes
 * at once.
 */
import type { Random } from '../../src/base/random.ts';
import type { Codec } from '../../src/framer/codec.ts';
import { decode, FRAMING_CASES } from './framing.ts';
import { byteTarget, type FuzzTarget, insist } from './target.ts';

/** Before the stream: which codec, the longest frame, and two bytes that say how it is cut. */
const HEAD_BYTES = 4;
const STREAM_BYTES_MAX = 160;
const MALFORMED = 'ERR_BUSBAR_FRAME_MALFORMED';
const TOO_LARGE = 'ERR_BUSBAR_FRAME_TOO_LARGE';

/** What prefixes, marks and net strings are made of, many times over. */
const LIKELY = Uint8Array.from([
  ...[0, 0, 0, 1, 1, 2, 3, 4, 5, 7, 8, 15, 16, 64, 127, 128, 129, 255],
  ...[10, 10, 13, 13, 10, 97, 97, 98, 98, 99, 48, 49, 50, 57, 58, 58, 44],
]);

const scratch = new Uint8Array(HEAD_BYTES + STREAM_BYTES_MAX);
/** Where the codec finds its bytes: nothing before and after them is to be read as theirs. */
const memory = new Uint8Array(1024);

function generate(random: Random): Uint8Array {
  const length = HEAD_BYTES + random.below(random.chance(0.8) ? 32 : STREAM_BYTES_MAX + 1);
  let bits = 0;
  for (let i = 0; i < length; i++) {
    if ((i & 3) === 0) bits = random.next();
    const byte = bits & 0xff;
    scratch[i] = i < HEAD_BYTES || byte < 24 ? random.next() : LIKELY[byte % LIKELY.length];
    bits >>>= 8;
  }
  scratch[0] = random.below(FRAMING_CASES.length);
  return scratch.subarray(0, length);
}

function check(input: Uint8Array): void {
  if (input.length < HEAD_BYTES) return;
  const { codec, measure } = FRAMING_CASES[input[0] % FRAMING_CASES.length];
  const maxFrameBytes = 1 + (input[1] & 0x7f);
  const stream = input.subarray(HEAD_BYTES);
  const expected = decode(stream, measure, maxFrameBytes);
  let cut = input[2] | (input[3] << 8) | 0x10000;
  let begin = 0;
  let arrived = 0;
  let scanned = 0;
  let frames = 0;
  let error: string | undefined;
  while (error === undefined) {
    const available = Math.min(arrived - begin, maxFrameBytes);
    const total = available > 0 ? askCodec(codec, stream, begin, begin + available, scanned) : 0;
    if (total < 0) {
      error = MALFORMED;
    } else if (total > maxFrameBytes || (total === 0 && available === maxFrameBytes)) {
      error = TOO_LARGE;
    } else if (total === 0 || begin + total > arrived) {
      if (arrived === stream.length) break;
      // A frame of known length is not asked about again before it is there.
      scanned = total === 0 ? available : 0;
      cut = (Math.imul(cut, 75) + 74) % 65537;
      const more = total === 0 ? 1 + (cut % 7) * (cut & 8 ? 1 : 9) : total - (arrived - begin);
      arrived = Math.min(stream.length, arrived + more);
    } else {
      const payload = expected.payloads[frames];
      insist(payload !== undefined, `frame ${frames} is one too many`);
      insist(payload[0] === begin + codec.payloadSkip, `frame ${frames} begins elsewhere`);
      insist(payload[1] === begin + total - codec.payloadTrim, `frame ${frames} ends elsewhere`);
      frames++;
      begin += total;
      scanned = 0;
    }
  }
  insist(error === expected.error, `ended with ${error}, expected ${expected.error}`);
  insist(frames === expected.payloads.length, `${frames} frames of ${expected.payloads.length}`);
}

/** The codec's answer; -1: malformed. What was begun has been moved since the last time. */
function askCodec(
  codec: Codec,
  stream: Uint8Array,
  begin: number,
  end: number,
  scanned: number,
): number {
  const at = 64 + ((begin * 7 + end) & 63);
  memory.fill(0x0a, at - 8, at + end - begin + 8);
  for (let i = begin; i < end; i++) memory[at + i - begin] = stream[i];
  try {
    const total = codec.measure(memory, at, at + end - begin, scanned);
    insist(total >= 0 && Number.isInteger(total), `measured ${total}`);
    return total;
  } catch (thrown) {
    if ((thrown as { code?: string }).code !== MALFORMED) throw thrown;
    return -1;
  }
}

export const codecs: FuzzTarget = byteTarget({
  name: 'codecs',
  execution: 'one stream of up to 160 bytes, cut up, through one of the codecs',
  executionsInTests: 60_000,
  generate,
  check,
});
