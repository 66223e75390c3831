// SPDX-License-Identifier: MIT
/**
 * Example broker: the NATS client protocol as a codec of the framer. One pass finds the end of a
 * message *and* parses its line: the fields below are set when `measure` returns a length, and the
 * line is not read again.
 *
 *   PUB orders.new _INBOX.7 5\r\n          HPUB orders.new 12 17\r\n
 *       subject    reply    payloadLength       subject   │  payloadLength (headers included)
 *   hello\r\n                              NATS/1.0…      headerLength
 */

import { type Bytes, RecentSubject } from 'busbar/bus';
import type { Codec } from 'busbar/framer';

export const OP_BROKEN = 0;
export const OP_PUB = 1;
export const OP_HPUB = 2;
export const OP_SUB = 3;
export const OP_UNSUB = 4;
export const OP_PING = 5;
export const OP_PONG = 6;
export const OP_CONNECT = 7;
/** +OK, an operation of servers; ignored if a client sends it. */
export const OP_IGNORED = 8;
/** INFO of a client: ignored as well, but its argument must be JSON. */
export const OP_INFO = 9;

/** Errors sent to a client before it is cut off. The texts are those of nats-server. */
export const ERROR_UNKNOWN_OPERATION = 'Unknown Protocol Operation';
export const ERROR_PARSER = 'Parser Error';
export const ERROR_CONTROL_LINE = 'maximum control line exceeded';
export const ERROR_MAX_PAYLOAD = 'Maximum Payload Violation';

const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const ZERO = 0x30;
const PUB_BYTES = 4;

/** ASCII letters read as a little-endian word, to be compared with four bytes at once. */
const WORD_PUB_SPACE = 0x20425550;
const SMALL_A = 0x61;
const CRLF_BYTES = 2;

/** The beginning of a line. */
interface Head {
  readonly op: number;
  /** In lower case; upper case is accepted as well. */
  readonly name: string;
  /** A blank must follow. */
  readonly wantsBlank: boolean;
  /** The rest of the line is parsed; otherwise it is ignored. */
  readonly hasArgument: boolean;
}

/** In the order of trying: the most frequent first. */
const HEADS: readonly Head[] = [
  { op: OP_PUB, name: 'pub', wantsBlank: true, hasArgument: true },
  { op: OP_HPUB, name: 'hpub', wantsBlank: true, hasArgument: true },
  { op: OP_SUB, name: 'sub', wantsBlank: true, hasArgument: true },
  { op: OP_UNSUB, name: 'unsub', wantsBlank: true, hasArgument: true },
  { op: OP_PING, name: 'ping', wantsBlank: false, hasArgument: false },
  { op: OP_PONG, name: 'pong', wantsBlank: false, hasArgument: false },
  { op: OP_CONNECT, name: 'connect', wantsBlank: false, hasArgument: true },
  { op: OP_INFO, name: 'info', wantsBlank: false, hasArgument: true },
  { op: OP_IGNORED, name: '+ok', wantsBlank: false, hasArgument: false },
  // A client that reports an error is cut off.
  { op: OP_BROKEN, name: '-err', wantsBlank: true, hasArgument: true },
];

/** Most arguments of an operation; one more is kept, to detect errors. */
const ARGUMENT_COUNT_MAX = 5;
/** A size of more digits exceeds every limit, and would not be exact. */
const SIZE_DIGITS_MAX = 9;
const SIZE_MAX = 10 ** SIZE_DIGITS_MAX - 1;

export interface ProtocolLimits {
  readonly maxPayloadBytes: number;
  readonly maxControlLineBytes: number;
}

/** Fields are offsets from the first byte of the frame, `[begin, end)`. */
export class ProtocolCodec implements Codec {
  /** The frame is delivered whole: the part after the subject is passed on unchanged. */
  readonly payloadSkip: number = 0;
  readonly payloadTrim: number = 0;

  op: number = OP_BROKEN;
  /** With OP_BROKEN: the text for the client. */
  error: string = '';
  subjectBegin: number = 0;
  subjectEnd: number = 0;
  /** PUB, HPUB. */
  subjectHash: number = 0;
  /** PUB: it has the same subject as the last message. */
  isRepeated: boolean = false;
  /** Empty without a reply subject. */
  replyBegin: number = 0;
  replyEnd: number = 0;
  headerLength: number = 0;
  payloadBegin: number = 0;
  /** Headers included. */
  payloadLength: number = 0;
  /**
   * PUB, HPUB: single spaces, CRLF; then everything after the subject's space can be passed on
   * unchanged.
   */
  isCanonical: boolean = false;
  /** SUB: the queue group, empty when there is none. CONNECT, INFO: their argument. */
  argumentBegin: number = 0;
  argumentEnd: number = 0;
  /** SUB, UNSUB: the subscription's id. */
  sidBegin: number = 0;
  sidEnd: number = 0;
  /** UNSUB: the number of messages after which it takes effect; 0: now. */
  countMax: number = 0;

  readonly #view: DataView<ArrayBufferLike>;
  readonly #recent: RecentSubject = new RecentSubject();
  readonly #maxPayloadBytes: number;
  readonly #maxControlLineBytes: number;
  readonly #arguments: Int32Array = new Int32Array(2 * (ARGUMENT_COUNT_MAX + 1));
  /** Number of tabs and the like between the arguments: no spaces. */
  #oddSpaces: number = 0;

  /** `view` covers the memory passed to `measure`, with the same offsets. */
  constructor(view: DataView<ArrayBufferLike>, limits: ProtocolLimits) {
    this.#view = view;
    this.#maxPayloadBytes = limits.maxPayloadBytes;
    this.#maxControlLineBytes = limits.maxControlLineBytes;
  }

  measure(bytes: Bytes, begin: number, end: number, scanned: number): number {
    if (end - begin >= 8 && this.#view.getInt32(begin, true) === WORD_PUB_SPACE) {
      const length = this.#measurePub(bytes, begin, end);
      if (length > 0) return length;
    }
    return this.#measureLine(bytes, begin, end, scanned);
  }

  /** Parses `PUB subject [reply] size\r\n` in its usual form; 0 for anything else, also errors. */
  #measurePub(bytes: Bytes, begin: number, end: number): number {
    const view = this.#view;
    const recent = this.#recent;
    const subjectBegin = begin + PUB_BYTES;
    if (!recent.isAt(view, subjectBegin, end) && !recent.read(view, subjectBegin, end)) return 0;
    let sizeBegin = subjectBegin + recent.length + 1;
    let at = this.#readSize(bytes, sizeBegin, end);
    this.replyBegin = 0;
    this.replyEnd = 0;
    if (at < end && bytes[at] !== CR) {
      sizeBegin = this.#readReply(bytes, begin, sizeBegin, end);
      at = this.#readSize(bytes, sizeBegin, end);
    }
    if (at + 1 >= end || bytes[at] !== CR || bytes[at + 1] !== LF) return 0;
    if (at === sizeBegin || at - sizeBegin > SIZE_DIGITS_MAX) return 0;
    const size = this.payloadLength;
    if (size > this.#maxPayloadBytes) return 0;
    if (at - subjectBegin > this.#maxControlLineBytes) return 0;
    this.op = OP_PUB;
    this.isCanonical = true;
    this.isRepeated = recent.isPublished;
    recent.isPublished = true;
    this.subjectBegin = PUB_BYTES;
    this.subjectEnd = PUB_BYTES + recent.length;
    this.subjectHash = recent.hash;
    this.headerLength = 0;
    this.payloadBegin = at + 2 - begin;
    return at + 4 + size - begin;
  }

  /** Reads digits into `payloadLength`; returns where they end. */
  #readSize(bytes: Bytes, begin: number, end: number): number {
    let at = begin;
    let size = 0;
    for (; at < end; at++) {
      const digit = bytes[at] - ZERO;
      if (digit < 0 || digit > 9) break;
      size = size * 10 + digit;
    }
    // More digits than fit 32 bits are refused by their number.
    this.payloadLength = size | 0;
    return at;
  }

  /**
   * Reads a reply subject, and a space; returns where the size begins, or `end`. A separate
   * function, since few PUBs have one.
   */
  #readReply(bytes: Bytes, begin: number, replyBegin: number, end: number): number {
    let at = replyBegin;
    while (at < end && bytes[at] > SPACE) at++;
    if (at >= end || bytes[at] !== SPACE || at === replyBegin) return end;
    this.replyBegin = replyBegin - begin;
    this.replyEnd = at - begin;
    return at + 1;
  }

  /**
   * Parses every operation in every form that nats-server accepts. That reads byte by byte and ends
   * the connection at the first wrong byte, so this does the same.
   */
  #measureLine(bytes: Bytes, begin: number, end: number, scanned: number): number {
    if (begin === end) return 0;
    const head = headAt(bytes, begin, end);
    if (head === undefined) return this.#break(ERROR_UNKNOWN_OPERATION);
    const opEnd = begin + head.name.length;
    const { wantsBlank, hasArgument } = head;
    if (opEnd >= end) return 0;
    if (wantsBlank && !isBlank(bytes[opEnd])) return this.#break(ERROR_UNKNOWN_OPERATION);
    // The argument begins at the first non-blank byte, even if that is the end of the line.
    let argumentBegin = opEnd;
    let at = opEnd;
    if (hasArgument) {
      while (argumentBegin < end && isBlank(bytes[argumentBegin])) argumentBegin++;
      at = argumentBegin + 1;
    }
    // Blanks before the argument do not count, but their number is bounded.
    if (argumentBegin - opEnd > this.#maxControlLineBytes) return this.#break(ERROR_CONTROL_LINE);
    at = Math.max(at, begin + scanned);
    const lineEndMax = argumentBegin + this.#maxControlLineBytes + CRLF_BYTES;
    const limit = Math.min(end, lineEndMax);
    while (at < limit && bytes[at] !== LF) at++;
    if (at >= limit) return end >= lineEndMax ? this.#break(ERROR_CONTROL_LINE) : 0;
    const lineLength = at + 1 - begin;
    this.op = head.op;
    if (!hasArgument) return lineLength;
    const argumentEnd = argumentEndOf(bytes, argumentBegin, at);
    if (argumentEnd - argumentBegin > this.#maxControlLineBytes) {
      return this.#break(ERROR_CONTROL_LINE);
    }
    this.argumentBegin = argumentBegin - begin;
    this.argumentEnd = argumentEnd - begin;
    const count = this.#split(bytes, begin, argumentBegin, argumentEnd);
    switch (head.op) {
      case OP_PUB:
      case OP_HPUB:
        return this.#measurePublish(head, bytes, begin, count, lineLength);
      case OP_SUB:
        return this.#readSub(count) ? lineLength : this.#break(ERROR_PARSER);
      case OP_UNSUB:
        return this.#readUnsub(bytes, begin, count) ? lineLength : this.#break(ERROR_PARSER);
      case OP_BROKEN:
        return this.#break(ERROR_PARSER);
      default:
        return lineLength;
    }
  }

  /** Parses PUB subject [reply] size · HPUB subject [reply] headerSize size. */
  #measurePublish(
    { op, name }: Head,
    bytes: Bytes,
    begin: number,
    count: number,
    lineLength: number,
  ): number {
    const list = this.#arguments;
    const recent = this.#recent;
    const countMin = op === OP_PUB ? 2 : 3;
    if (count < countMin || count > countMin + 1) return this.#break(ERROR_PARSER);
    const size = this.#sizeOf(bytes, begin, count - 1);
    if (size > this.#maxPayloadBytes) return this.#break(ERROR_MAX_PAYLOAD);
    const headerSize = op === OP_HPUB ? this.#sizeOf(bytes, begin, count - 2) : 0;
    if (size < 0 || headerSize < 0 || headerSize > size) return this.#break(ERROR_PARSER);
    const hasReply = count > countMin;
    this.subjectBegin = list[0];
    this.subjectEnd = list[1];
    recent.skip(this.#view, begin + list[0], begin + list[1]);
    this.subjectHash = recent.hash;
    this.isRepeated = false;
    this.replyBegin = hasReply ? list[2] : 0;
    this.replyEnd = hasReply ? list[3] : 0;
    this.headerLength = headerSize;
    this.payloadBegin = lineLength;
    this.payloadLength = size;
    let canonicalLength = name.length + CRLF_BYTES;
    for (let i = 0; i < count; i++) canonicalLength += 1 + list[2 * i + 1] - list[2 * i];
    this.isCanonical =
      this.#oddSpaces === 0 &&
      bytes[begin + name.length] === SPACE &&
      bytes[begin + lineLength - 2] === CR &&
      canonicalLength === lineLength;
    return lineLength + size + CRLF_BYTES;
  }

  /** Parses SUB subject [queue] sid. */
  #readSub(count: number): boolean {
    if (count < 2 || count > 3) return false;
    const list = this.#arguments;
    this.subjectBegin = list[0];
    this.subjectEnd = list[1];
    this.argumentBegin = count === 3 ? list[2] : 0;
    this.argumentEnd = count === 3 ? list[3] : 0;
    this.sidBegin = list[2 * count - 2];
    this.sidEnd = list[2 * count - 1];
    return true;
  }

  /** Parses UNSUB sid [max]; a max other than a number of nine digits means now (nats-server). */
  #readUnsub(bytes: Bytes, begin: number, count: number): boolean {
    if (count < 1 || count > 2) return false;
    const list = this.#arguments;
    this.sidBegin = list[0];
    this.sidEnd = list[1];
    const countMax = count === 2 ? this.#sizeOf(bytes, begin, 1) : 0;
    this.countMax = countMax > 0 && countMax < Number.POSITIVE_INFINITY ? countMax : 0;
    return true;
  }

  /** The argument of that index as a number, see `parseSize`. */
  #sizeOf(bytes: Bytes, begin: number, index: number): number {
    const list = this.#arguments;
    return parseSize(bytes, begin + list[2 * index], begin + list[2 * index + 1]);
  }

  /** Sets the error. The connection ends with this frame, so its length does not matter. */
  #break(error: string): number {
    this.op = OP_BROKEN;
    this.error = error;
    return 1;
  }

  /**
   * Finds the arguments in `bytes[begin, end)`, as offsets from `frame`; returns their number, at
   * most one too many.
   */
  #split(bytes: Bytes, frame: number, begin: number, end: number): number {
    const list = this.#arguments;
    let count = 0;
    this.#oddSpaces = 0;
    for (let at = begin; at < end && count <= ARGUMENT_COUNT_MAX; ) {
      if (isSpace(bytes[at])) {
        if (bytes[at] !== SPACE) this.#oddSpaces++;
        at++;
        continue;
      }
      list[2 * count] = at - frame;
      while (at < end && !isSpace(bytes[at])) at++;
      list[2 * count + 1] = at - frame;
      count++;
    }
    return count;
  }
}

/** Whether a byte may follow the name of an operation. */
function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** Whether a byte separates arguments: also a CR in a line, and a LF that begins an argument. */
function isSpace(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === CR || byte === LF;
}

/**
 * End of the argument of a line with its LF at `lineEnd`. As in nats-server, a CR anywhere after
 * the first byte removes the last byte of the line, which usually is that CR.
 */
function argumentEndOf(bytes: Bytes, begin: number, lineEnd: number): number {
  for (let at = lineEnd - 1; at > begin; at--) if (bytes[at] === CR) return lineEnd - 1;
  return lineEnd;
}

/**
 * Parses a decimal number; -1 for anything else. More than nine digits give Infinity, which exceeds
 * every limit, unless they are a small number with leading zeros (as in nats-server).
 */
function parseSize(bytes: Bytes, begin: number, end: number): number {
  let size = 0;
  for (let at = begin; at < end; at++) {
    const digit = bytes[at] - ZERO;
    if (digit < 0 || digit > 9) return -1;
    size = size * 10 + digit;
  }
  if (begin === end) return -1;
  if (end - begin <= SIZE_DIGITS_MAX) return size;
  return size > SIZE_MAX ? Number.POSITIVE_INFINITY : -1;
}

/** The operation of which `bytes[begin, end)` begins with the name, or is the beginning. */
function headAt(bytes: Bytes, begin: number, end: number): Head | undefined {
  for (const head of HEADS) if (isHeadAt(head, bytes, begin, end)) return head;
  return undefined;
}

function isHeadAt({ name }: Head, bytes: Bytes, begin: number, end: number): boolean {
  const length = Math.min(name.length, end - begin);
  for (let i = 0; i < length; i++) {
    const wanted = name.charCodeAt(i);
    const byte = bytes[begin + i];
    if (byte !== wanted && (wanted < SMALL_A || (byte | 0x20) !== wanted)) return false;
  }
  return true;
}
