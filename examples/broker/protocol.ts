// SPDX-License-Identifier: MIT
/**
 * Example broker: the NATS client protocol as a codec of the framer. One pass finds where a message
 * ends *and* what it says: the fields below are set when `measure` returns a length, and nothing
 * looks at the line again.
 *
 *   PUB orders.new _INBOX.7 5\r\n          HPUB orders.new 12 17\r\n
 *       subject    reply    payloadLength       subject   │  payloadLength (headers included)
 *   hello\r\n                              NATS/1.0…      headerLength
 */

import type { Codec } from 'busbar/framer';
import { RecentSubject } from './recent-subject.ts';
import { type Bytes, hashSubject } from './subject.ts';

export const OP_BROKEN = 0;
export const OP_PUB = 1;
export const OP_HPUB = 2;
export const OP_SUB = 3;
export const OP_UNSUB = 4;
export const OP_PING = 5;
export const OP_PONG = 6;
export const OP_CONNECT = 7;
/** INFO, +OK and -ERR are for servers to say; a client that says them is not contradicted. */
export const OP_IGNORED = 8;

/** What a client is told before it is cut off. The texts are those of nats-server. */
export const ERROR_UNKNOWN_OPERATION = 'Unknown Protocol Operation';
export const ERROR_PARSER = 'Parser Error';
export const ERROR_CONTROL_LINE = 'maximum control line exceeded';
export const ERROR_MAX_PAYLOAD = 'Maximum Payload Violation';

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const ZERO = 0x30;
const PUB_BYTES = 4;
const MINUS = 0x2d;
const PLUS = 0x2b;

/** ASCII letters read as a little-endian word, to be compared with four bytes at once. */
const WORD_PUB_SPACE = 0x20425550;
const WORD_LOWER_CASE = 0x20202020;
const WORD_HPUB = wordOf('hpub');
const WORD_UNSU = wordOf('unsu');
const WORD_PING = wordOf('ping');
const WORD_PONG = wordOf('pong');
const WORD_CONN = wordOf('conn');
const WORD_INFO = wordOf('info');
const WORD_ECT_SPACE = wordOf('ect ');
const WORD_PUB = wordOf('pub ') & 0xffffff;
const WORD_SUB = wordOf('sub ') & 0xffffff;

/** No operation takes more; one further is kept, to notice. */
const ARGUMENT_COUNT_MAX = 5;
/** A size of more digits than this is over every limit, and would not be exact. */
const SIZE_DIGITS_MAX = 9;

export interface ProtocolLimits {
  readonly maxPayloadBytes: number;
  readonly maxControlLineBytes: number;
}

/** Fields are offsets from the first byte of the frame, `[begin, end)`. */
export class ProtocolCodec implements Codec {
  /** The frame is handed out whole: what follows the subject is passed on as it stands. */
  readonly payloadSkip: number = 0;
  readonly payloadTrim: number = 0;

  op: number = OP_BROKEN;
  /** With OP_BROKEN: the text for the client. */
  error: string = '';
  subjectBegin: number = 0;
  subjectEnd: number = 0;
  /** PUB, HPUB. */
  subjectHash: number = 0;
  /** PUB: it has the subject of the message before. */
  isRepeated: boolean = false;
  /** Empty when there is no reply subject. */
  replyBegin: number = 0;
  replyEnd: number = 0;
  headerLength: number = 0;
  payloadBegin: number = 0;
  /** Headers included. */
  payloadLength: number = 0;
  /**
   * PUB, HPUB: single spaces, CRLF; then everything after the subject's space can be passed on as
   * it stands.
   */
  isCanonical: boolean = false;
  /** SUB: the queue group, empty when there is none. CONNECT: its argument. */
  argumentBegin: number = 0;
  argumentEnd: number = 0;
  /** SUB, UNSUB: the subscription's id. */
  sidBegin: number = 0;
  sidEnd: number = 0;
  /** UNSUB: after how many messages, or 0 for now. */
  countMax: number = 0;

  readonly #view: DataView<ArrayBufferLike>;
  readonly #recent: RecentSubject = new RecentSubject();
  readonly #maxPayloadBytes: number;
  readonly #maxControlLineBytes: number;
  readonly #arguments: Int32Array = new Int32Array(2 * (ARGUMENT_COUNT_MAX + 1));
  /** Something else than a space stood between arguments. */
  #sawOddSpace: boolean = false;

  /** `view` sees the memory that `measure` is given, with the same offsets. */
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

  /** `PUB subject [reply] size\r\n` written the usual way; 0 for anything else, errors included. */
  #measurePub(bytes: Bytes, begin: number, end: number): number {
    const view = this.#view;
    const recent = this.#recent;
    const subjectBegin = begin + PUB_BYTES;
    if (!recent.isAt(view, subjectBegin, end) && !recent.read(view, subjectBegin, end)) return 0;
    const sizeBegin = subjectBegin + recent.length + 1;
    let at = sizeBegin;
    let size = 0;
    while (at < end) {
      const digit = bytes[at] - ZERO;
      if (digit < 0 || digit > 9) break;
      size = size * 10 + digit;
      at++;
    }
    if (at + 1 >= end) return 0;
    if (bytes[at] !== CR) return this.#measureReply(bytes, begin, sizeBegin, end);
    this.replyBegin = 0;
    this.replyEnd = 0;
    return this.#endPub(bytes, begin, sizeBegin, at, size);
  }

  /**
   * Goes on at `replyBegin`, where a reply subject stands. A function of its own: few PUBs have
   * one.
   */
  #measureReply(bytes: Bytes, begin: number, replyBegin: number, end: number): number {
    let at = replyBegin;
    while (at < end && bytes[at] > SPACE) at++;
    if (at >= end || bytes[at] !== SPACE || at === replyBegin) return 0;
    this.replyBegin = replyBegin - begin;
    this.replyEnd = at - begin;
    const sizeBegin = ++at;
    let size = 0;
    while (at < end) {
      const digit = bytes[at] - ZERO;
      if (digit < 0 || digit > 9) break;
      size = size * 10 + digit;
      at++;
    }
    return at + 1 < end ? this.#endPub(bytes, begin, sizeBegin, at, size) : 0;
  }

  /** The size ends at `at`, and there, if all is well, the line. */
  #endPub(bytes: Bytes, begin: number, sizeBegin: number, at: number, size: number): number {
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return 0;
    if (at === sizeBegin || at - sizeBegin > SIZE_DIGITS_MAX) return 0;
    if (size > this.#maxPayloadBytes || at + 2 - begin > this.#maxControlLineBytes) return 0;
    const recent = this.#recent;
    this.op = OP_PUB;
    this.isCanonical = true;
    this.isRepeated = recent.isPublished;
    recent.isPublished = true;
    this.subjectBegin = PUB_BYTES;
    this.subjectEnd = PUB_BYTES + recent.length;
    this.subjectHash = recent.hash;
    this.headerLength = 0;
    this.payloadBegin = at + 2 - begin;
    this.payloadLength = size;
    return at + 4 + size - begin;
  }

  /** Every operation, written in every way that is allowed. */
  #measureLine(bytes: Bytes, begin: number, end: number, scanned: number): number {
    let at = begin + scanned;
    const limit = Math.min(end, begin + this.#maxControlLineBytes);
    while (at < limit && bytes[at] !== LF) at++;
    if (at === limit) {
      // Garbage from a client that never ends its line is recognized at its first byte, and first:
      // what a client is told must not hang on how its bytes arrive.
      if (end > begin && !beginsOperation(bytes[begin])) {
        return this.#break(ERROR_UNKNOWN_OPERATION);
      }
      return end - begin >= this.#maxControlLineBytes ? this.#break(ERROR_CONTROL_LINE) : 0;
    }
    const lineLength = at + 1 - begin;
    if (lineLength < 5) return this.#break(ERROR_UNKNOWN_OPERATION);
    const word = this.#view.getInt32(begin, true) | WORD_LOWER_CASE;
    if ((word & 0xffffff) === WORD_PUB && isBlank(bytes[begin + 3])) {
      return this.#measurePublish(OP_PUB, bytes, begin, at, 3);
    }
    if ((word & 0xffffff) === WORD_SUB && isBlank(bytes[begin + 3])) {
      return this.#measureSub(bytes, begin, at);
    }
    if (word === WORD_PING) return this.#lineOnly(OP_PING, lineLength);
    if (word === WORD_PONG) return this.#lineOnly(OP_PONG, lineLength);
    if (word === WORD_HPUB && isBlank(bytes[begin + 4])) {
      return this.#measurePublish(OP_HPUB, bytes, begin, at, 4);
    }
    if (word === WORD_UNSU && lineLength > 6 && (bytes[begin + 4] | 0x20) === 0x62) {
      return isBlank(bytes[begin + 5])
        ? this.#measureUnsub(bytes, begin, at)
        : this.#break(ERROR_UNKNOWN_OPERATION);
    }
    if (word === WORD_CONN && lineLength > 8) return this.#measureConnect(bytes, begin, at);
    if (word === WORD_INFO || bytes[begin] === PLUS || bytes[begin] === MINUS) {
      return this.#lineOnly(OP_IGNORED, lineLength);
    }
    return this.#break(ERROR_UNKNOWN_OPERATION);
  }

  /**
   * PUB subject [reply] size · HPUB subject [reply] headerSize size. `lineEnd` is where the LF
   * stands.
   */
  #measurePublish(
    op: number,
    bytes: Bytes,
    begin: number,
    lineEnd: number,
    opLength: number,
  ): number {
    const list = this.#arguments;
    const count = this.#split(bytes, begin + opLength, lineEnd);
    const countMin = op === OP_PUB ? 2 : 3;
    if (count < countMin || count > countMin + 1) return this.#break(ERROR_PARSER);
    const last = 2 * (count - 1);
    const size = parseSize(bytes, list[last], list[last + 1]);
    if (size > this.#maxPayloadBytes) return this.#break(ERROR_MAX_PAYLOAD);
    let headerSize = 0;
    if (op === OP_HPUB) headerSize = parseSize(bytes, list[last - 2], list[last - 1]);
    if (size < 0 || headerSize < 0 || headerSize > size) return this.#break(ERROR_PARSER);
    const hasReply = count > countMin;
    this.op = op;
    this.subjectBegin = list[0] - begin;
    this.subjectEnd = list[1] - begin;
    this.subjectHash = hashSubject(this.#view, list[0], list[1]);
    this.isRepeated = false;
    this.#recent.forget();
    this.replyBegin = hasReply ? list[2] - begin : 0;
    this.replyEnd = hasReply ? list[3] - begin : 0;
    this.headerLength = headerSize;
    this.payloadBegin = lineEnd + 1 - begin;
    this.payloadLength = size;
    let canonicalLength = opLength + 2;
    for (let i = 0; i < count; i++) canonicalLength += 1 + list[2 * i + 1] - list[2 * i];
    this.isCanonical =
      !this.#sawOddSpace && bytes[lineEnd - 1] === CR && canonicalLength === this.payloadBegin;
    return this.payloadBegin + size + 2;
  }

  /** SUB subject [queue] sid */
  #measureSub(bytes: Bytes, begin: number, lineEnd: number): number {
    const list = this.#arguments;
    const count = this.#split(bytes, begin + 3, lineEnd);
    if (count < 2 || count > 3) return this.#break(ERROR_PARSER);
    this.op = OP_SUB;
    this.subjectBegin = list[0] - begin;
    this.subjectEnd = list[1] - begin;
    this.argumentBegin = count === 3 ? list[2] - begin : 0;
    this.argumentEnd = count === 3 ? list[3] - begin : 0;
    this.sidBegin = list[2 * count - 2] - begin;
    this.sidEnd = list[2 * count - 1] - begin;
    return lineEnd + 1 - begin;
  }

  /** UNSUB sid [max]; a max that is no number means now, as nats-server has it. */
  #measureUnsub(bytes: Bytes, begin: number, lineEnd: number): number {
    const list = this.#arguments;
    const count = this.#split(bytes, begin + 5, lineEnd);
    if (count < 1 || count > 2) return this.#break(ERROR_PARSER);
    this.op = OP_UNSUB;
    this.sidBegin = list[0] - begin;
    this.sidEnd = list[1] - begin;
    this.countMax = count === 2 ? Math.max(0, parseSize(bytes, list[2], list[3])) : 0;
    return lineEnd + 1 - begin;
  }

  /** CONNECT {json} */
  #measureConnect(bytes: Bytes, begin: number, lineEnd: number): number {
    const rest = (this.#view.getInt32(begin + 4, true) | WORD_LOWER_CASE) & 0xffffff;
    if (rest !== (WORD_ECT_SPACE & 0xffffff) || !isBlank(bytes[begin + 7])) {
      return this.#break(ERROR_UNKNOWN_OPERATION);
    }
    this.op = OP_CONNECT;
    this.argumentBegin = 8;
    this.argumentEnd = lineEnd - begin;
    return lineEnd + 1 - begin;
  }

  #lineOnly(op: number, lineLength: number): number {
    this.op = op;
    return lineLength;
  }

  /** The connection ends with this frame, so its length does not matter. */
  #break(error: string): number {
    this.op = OP_BROKEN;
    this.error = error;
    return 1;
  }

  /**
   * Finds the arguments in `bytes[begin, end)`; returns how many there are, at most one too many.
   */
  #split(bytes: Bytes, begin: number, end: number): number {
    const list = this.#arguments;
    let count = 0;
    this.#sawOddSpace = false;
    for (let at = begin; at < end && count <= ARGUMENT_COUNT_MAX; ) {
      if (isSpace(bytes[at])) {
        // The CR that ends the line is none of them.
        if (bytes[at] !== SPACE && at !== end - 1) this.#sawOddSpace = true;
        at++;
        continue;
      }
      list[2 * count] = at;
      while (at < end && !isSpace(bytes[at])) at++;
      list[2 * count + 1] = at;
      count++;
    }
    return count;
  }
}

/** What follows the name of an operation. */
function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** What separates arguments; a CR anywhere in a line counts as a space. */
function isSpace(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === CR;
}

/** A decimal number, or -1; too many digits are Infinity, which is over every limit. */
function parseSize(bytes: Bytes, begin: number, end: number): number {
  let size = 0;
  for (let at = begin; at < end; at++) {
    const digit = bytes[at] - ZERO;
    if (digit < 0 || digit > 9) return -1;
    size = size * 10 + digit;
  }
  if (begin === end) return -1;
  return end - begin > SIZE_DIGITS_MAX ? Number.POSITIVE_INFINITY : size;
}

function beginsOperation(byte: number): boolean {
  return 'phsuciPHSUCI+-'.includes(String.fromCharCode(byte));
}

function wordOf(text: string): number {
  let word = 0;
  for (let i = 0; i < 4; i++) word |= text.charCodeAt(i) << (8 * i);
  return word;
}
