// SPDX-License-Identifier: MIT
/**
 * Fuzz target: the broker's parser, with damaged and divided client input, against a parser that
 * reads lines as text.
 */
import {
  ERROR_CONTROL_LINE,
  ERROR_MAX_PAYLOAD,
  ERROR_PARSER,
  ERROR_UNKNOWN_OPERATION,
  OP_BROKEN,
  OP_CONNECT,
  OP_HPUB,
  OP_IGNORED,
  OP_INFO,
  OP_PING,
  OP_PONG,
  OP_PUB,
  OP_SUB,
  OP_UNSUB,
  ProtocolCodec,
  type ProtocolLimits,
} from '../../broker/protocol.ts';
import type { Random } from '../../src/base/random.ts';
import { hashSubject } from '../../src/bus/subject.ts';
import { brokerTraffic } from './broker-traffic.ts';
import { byteTarget, type FuzzTarget, insist } from './target.ts';

// ── The oracle: one operation at the beginning of a text, byte for byte a character
// ────────────────────────────────────

/** What was said, `length` bytes of it with the payload; or what is wrong with it. */
export interface Said {
  readonly op: number;
  readonly length: number;
  readonly error?: string;
  readonly subject?: string;
  readonly reply?: string;
  readonly queue?: string;
  readonly sid?: string;
  readonly countMax?: number;
  readonly headerLength?: number;
  readonly payloadBegin?: number;
  readonly payloadLength?: number;
  readonly isCanonical?: boolean;
  readonly argument?: string;
}

function broken(error: string): Said {
  return { op: OP_BROKEN, length: 1, error };
}

const NAMES = ['pub', 'hpub', 'sub', 'unsub', 'ping', 'pong', 'connect', 'info', '+ok', '-err'];

/** Undefined: the line has not ended yet. */
export function readOperation(text: string, limits: ProtocolLimits): Said | undefined {
  const { maxControlLineBytes } = limits;
  const small = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const name = NAMES.find((each) => each.startsWith(small.slice(0, each.length)));
  if (name === undefined) return broken(ERROR_UNKNOWN_OPERATION);
  const rest = text.slice(name.length);
  if (rest === '') return undefined;
  const isLoose = name === 'ping' || name === 'pong' || name === '+ok';
  const wantsBlank = !isLoose && name !== 'connect' && name !== 'info';
  if (wantsBlank && !/^[ \t]/.test(rest)) return broken(ERROR_UNKNOWN_OPERATION);
  const argument = isLoose ? rest : rest.replace(/^[ \t]+/, '');
  const blanks = rest.length - argument.length;
  if (blanks > maxControlLineBytes) return broken(ERROR_CONTROL_LINE);
  const lineEnd = argument.indexOf('\n', isLoose ? 0 : 1);
  if (lineEnd < 0 || lineEnd >= maxControlLineBytes + 2) {
    const isTooLong = argument.length >= maxControlLineBytes + 2;
    return isTooLong ? broken(ERROR_CONTROL_LINE) : undefined;
  }
  const length = name.length + blanks + lineEnd + 1;
  if (isLoose) {
    return { op: name === 'ping' ? OP_PING : name === 'pong' ? OP_PONG : OP_IGNORED, length };
  }
  let said = argument.slice(0, lineEnd);
  if (said.slice(1).includes('\r')) said = said.slice(0, -1);
  if (said.length > maxControlLineBytes) return broken(ERROR_CONTROL_LINE);
  const words = said.split(/[ \t\r\n]+/).filter((each) => each !== '');
  switch (name) {
    case 'pub':
    case 'hpub':
      return readPublish(text.slice(0, length - 1), name.length, words, limits);
    case 'sub':
      return readSub(length, words);
    case 'unsub':
      return readUnsub(length, words);
    case '-err':
      return broken(ERROR_PARSER);
  }
  return { op: name === 'connect' ? OP_CONNECT : OP_INFO, length, argument: said };
}

function readPublish(
  line: string,
  opLength: number,
  words: readonly string[],
  { maxPayloadBytes }: ProtocolLimits,
): Said {
  const hasHeaders = opLength === 4;
  const sizes = hasHeaders ? 2 : 1;
  if (words.length < 1 + sizes || words.length > 2 + sizes) return broken(ERROR_PARSER);
  const payloadLength = readNumber(words[words.length - 1]);
  if (payloadLength > maxPayloadBytes) return broken(ERROR_MAX_PAYLOAD);
  const headerLength = hasHeaders ? readNumber(words[words.length - 2]) : 0;
  if (Number.isNaN(payloadLength) || !(headerLength <= payloadLength)) return broken(ERROR_PARSER);
  const payloadBegin = line.length + 1;
  return {
    op: hasHeaders ? OP_HPUB : OP_PUB,
    length: payloadBegin + payloadLength + 2,
    subject: words[0],
    reply: words.length === 2 + sizes ? words[1] : '',
    headerLength,
    payloadBegin,
    payloadLength,
    isCanonical: line.slice(opLength) === ` ${words.join(' ')}\r`,
  };
}

function readSub(length: number, words: readonly string[]): Said {
  if (words.length < 2 || words.length > 3) return broken(ERROR_PARSER);
  const sid = words[words.length - 1];
  return { op: OP_SUB, length, subject: words[0], queue: words.length === 3 ? words[1] : '', sid };
}

function readUnsub(length: number, words: readonly string[]): Said {
  if (words.length < 1 || words.length > 2) return broken(ERROR_PARSER);
  const countMax = readNumber(words[1] ?? '0');
  return { op: OP_UNSUB, length, sid: words[0], countMax: countMax < Infinity ? countMax : 0 };
}

/** NaN: no number, such as one of more than nine digits, but if it is over every limit: that. */
function readNumber(word: string): number {
  if (!/^[0-9]+$/.test(word)) return Number.NaN;
  if (word.length <= 9) return Number(word);
  return Number(word) > 999_999_999 ? Number.POSITIVE_INFINITY : Number.NaN;
}

// ── Inputs: real traffic, damaged
// ─────────────────────────────────────────────────────────────────────────────────────────

/** Before the stream: which limits, and three bytes that say how it is cut and where it lies. */
const HEAD_BYTES = 4;
const STREAM_BYTES_MAX = 700;

const LIMITS: readonly ProtocolLimits[] = [
  { maxPayloadBytes: 300, maxControlLineBytes: 256 },
  { maxPayloadBytes: 300, maxControlLineBytes: 256 },
  { maxPayloadBytes: 40, maxControlLineBytes: 64 },
  { maxPayloadBytes: 8, maxControlLineBytes: 24 },
];

const operations: readonly Uint8Array[] = brokerTraffic.flatMap(cutUp);

function cutUp(traffic: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 0; at < traffic.length; ) {
    const said = readOperation(traffic.slice(at), LIMITS[0]);
    if (said === undefined || said.op === OP_BROKEN) throw new Error(`no operation at ${at}`);
    found.push(Buffer.from(traffic.slice(at, at + said.length), 'latin1'));
    at += said.length;
  }
  return found;
}

const ODD = Buffer.from(' \t\r\n \r\n0123456789.*>+-pPuUbBhHsS_\0\u00ff', 'latin1');
const scratch = Buffer.alloc(HEAD_BYTES + STREAM_BYTES_MAX + 64);

function generate(random: Random): Uint8Array {
  scratch.writeUInt32LE(random.next());
  let length = HEAD_BYTES;
  for (let count = 1 + random.below(4); count > 0; count--) {
    const operation = operations[random.below(operations.length)];
    if (length + operation.length > STREAM_BYTES_MAX) break;
    scratch.set(operation, length);
    length += operation.length;
  }
  for (let count = random.below(4); count > 0; count--) length = damage(random, length);
  return scratch.subarray(0, length);
}

/** Changes something of the stream; returns its new end. */
function damage(random: Random, end: number): number {
  if (end === HEAD_BYTES) return end;
  const at = HEAD_BYTES + random.below(end - HEAD_BYTES);
  const size = 1 + random.below(random.chance(0.7) ? 4 : 60);
  switch (random.below(6)) {
    case 0: // another byte
      scratch[at] = random.chance(0.8) ? ODD[random.below(ODD.length)] : random.below(256);
      return end;
    case 1: // a byte more
      if (end >= STREAM_BYTES_MAX) return end;
      scratch.copyWithin(at + 1, at, end);
      scratch[at] = ODD[random.below(ODD.length)];
      return end + 1;
    case 2: // some are missing
      scratch.copyWithin(at, at + size, end);
      return Math.max(at, end - size);
    case 3: // some twice
      if (end + size > STREAM_BYTES_MAX) return end;
      scratch.copyWithin(at + size, at, end);
      return end + size;
    case 4: // some from elsewhere
      scratch.copyWithin(at, HEAD_BYTES + random.below(end - HEAD_BYTES), end);
      return end;
    default: // the end is missing
      return random.chance(0.3) ? at : end;
  }
}

// ── One execution
// ────────────────────────────────────────────────────────────────────────────────────────────

/** Bytes that arrive at a time, at most. */
const STEPS_MAX: readonly number[] = [1, 4, 20, 20, 80, 80, 1000, 1000];

const memory = Buffer.alloc(2048);
const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);

function check(input: Uint8Array): void {
  if (input.length < HEAD_BYTES) return;
  const limits = LIMITS[input[0] % LIMITS.length];
  const stream = Buffer.from(input.buffer, input.byteOffset, input.length).subarray(HEAD_BYTES);
  const text = stream.toString('latin1');
  const codec = new ProtocolCodec(view, limits);
  let cut = (input[1] | (input[2] << 8)) + 1;
  const stepMax = STEPS_MAX[input[3] % STEPS_MAX.length];
  let begin = 0;
  let arrived = 0;
  let scanned = 0;
  let subject: string | undefined;
  let expected = readOperation(text, limits);
  for (;;) {
    cut = (Math.imul(cut, 75) + 74) % 65537;
    const at = 64 + (cut & 63);
    const length = arrived > begin ? measure(codec, stream, begin, arrived, scanned, at) : 0;
    if (length === 0) {
      if (arrived === stream.length) {
        insist(expected === undefined, `awaits more at ${begin}`);
        return;
      }
      scanned = arrived - begin;
      arrived = Math.min(stream.length, arrived + 1 + (cut % stepMax));
      continue;
    }
    insist(expected !== undefined, `found something at ${begin}`);
    compare(codec, expected, length, memory.toString('latin1', at, at + length), subject);
    if (codec.op === OP_BROKEN) return;
    if (codec.op === OP_PUB || codec.op === OP_HPUB) subject = expected.subject;
    // Where the length is known the parser is not asked again before everything is there.
    if (begin + length > stream.length) return;
    arrived = Math.max(arrived, begin + length);
    begin += length;
    scanned = 0;
    expected = readOperation(text.slice(begin), limits);
  }
}

/** Asks with the bytes lying somewhere else each time, among others that are not theirs. */
function measure(
  codec: ProtocolCodec,
  stream: Buffer,
  begin: number,
  end: number,
  scanned: number,
  at: number,
): number {
  memory.fill(0x39, at - 8, at);
  memory.fill(0x39, at + end - begin, at + end - begin + 8);
  stream.copy(memory, at, begin, end);
  const length = codec.measure(memory, at, at + end - begin, scanned);
  insist(Number.isInteger(length) && length >= 0, `measured ${length}`);
  return length;
}

/** `text` is what the parser was shown. */
function compare(
  codec: ProtocolCodec,
  expected: Said,
  length: number,
  text: string,
  subjectBefore: string | undefined,
): void {
  same('op', codec.op, expected.op);
  same('error', codec.op === OP_BROKEN ? codec.error : undefined, expected.error);
  same('length', length, expected.length);
  switch (expected.op) {
    case OP_PUB:
    case OP_HPUB:
      same('subject', text.slice(codec.subjectBegin, codec.subjectEnd), expected.subject);
      same('reply', text.slice(codec.replyBegin, codec.replyEnd), expected.reply);
      same('headerLength', codec.headerLength, expected.headerLength);
      same('payloadBegin', codec.payloadBegin, expected.payloadBegin);
      same('payloadLength', codec.payloadLength, expected.payloadLength);
      same('isCanonical', codec.isCanonical, expected.isCanonical);
      same('subjectHash', codec.subjectHash, hashOf(expected.subject as string));
      insist(!codec.isRepeated || expected.subject === subjectBefore, 'the subject is another');
      return;
    case OP_SUB:
      same('subject', text.slice(codec.subjectBegin, codec.subjectEnd), expected.subject);
      same('queue', text.slice(codec.argumentBegin, codec.argumentEnd), expected.queue);
      same('sid', text.slice(codec.sidBegin, codec.sidEnd), expected.sid);
      return;
    case OP_UNSUB:
      same('sid', text.slice(codec.sidBegin, codec.sidEnd), expected.sid);
      same('countMax', codec.countMax, expected.countMax);
      return;
    case OP_CONNECT:
      same('argument', text.slice(codec.argumentBegin, codec.argumentEnd), expected.argument);
  }
}

function same(what: string, found: unknown, expected: unknown): void {
  if (found === expected) return;
  throw new Error(`${what} ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
}

const alone = Buffer.alloc(STREAM_BYTES_MAX + 4);
const aloneView = new DataView(alone.buffer, alone.byteOffset, alone.byteLength);

function hashOf(subject: string): number {
  const end = alone.write(subject, 'latin1');
  return hashSubject(aloneView, 0, end);
}

export const brokerProtocol: FuzzTarget = byteTarget({
  name: 'broker-protocol',
  execution: 'one stream of one to four operations, damaged and cut up, through the parser',
  executionsInTests: 30_000,
  generate,
  check,
});
