// SPDX-License-Identifier: MIT
/**
 * Example broker: a published message, converted from the publisher's frame to the outputs of
 * subscribers.
 *
 * A subscriber gets nearly the same bytes as the publisher sent, so most of them are copied as they
 * are:
 *
 *   PUB orders.new    _INBOX.7 5\r\nhello\r\n       begin   headEnd                 end
 *   MSG orders.new 12 _INBOX.7 5\r\nhello\r\n         │ PUB orders.new │ 5\r\nhello\r\n │
 */

import type { Bytes } from 'busbar/bus';
import type { Subscription } from './subscription.ts';

/**
 * First words of the lines, little-endian. The word of HMSG is followed by the space of the HPUB
 * line.
 */
const WORD_MSG_SPACE = 0x2047534d;
const WORD_HMSG = 0x47534d48;

const SPACE = 0x20;
const CR = 0x0d;
const LF = 0x0a;
const ZERO = 0x30;

/**
 * The fields of a PUB or HPUB line that a message uses; offsets from the frame's first byte.
 */
export interface PublishedLine {
  readonly subjectBegin: number;
  readonly subjectEnd: number;
  readonly replyBegin: number;
  readonly replyEnd: number;
  readonly headerLength: number;
  readonly payloadBegin: number;
  readonly payloadLength: number;
}

/** What copies many bytes within the memory: the pool. */
export interface Mover {
  copy(to: number, from: number, length: number): void;
}

/** Up to this many bytes a loop over words is as fast. */
const WORDS_MAX = 32;

/**
 * One message; created once per connection and set for each frame. All positions are absolute in
 * the memory.
 */
export class Message {
  readonly #view: DataView<ArrayBufferLike>;
  readonly #bytes: Bytes;
  readonly #mover: Mover;

  /** Begin of the canonical frame. */
  begin: number = 0;
  /** End of the canonical frame. */
  end: number = 0;
  /** True without headers: every client understands it. */
  isPlain: boolean = true;
  /** Bytes of headers. */
  headerLength: number = 0;
  #subjectBegin: number = 0;
  #headEnd: number = 0;
  #replyLength: number = 0;
  #payloadBegin: number = 0;
  #word: number = 0;

  constructor(view: DataView<ArrayBufferLike>, bytes: Bytes, mover: Mover) {
    this.#mover = mover;
    this.#view = view;
    this.#bytes = bytes;
  }

  /** Sets the message to the frame `[begin, end)`, a canonical PUB or (`hasHeaders`) HPUB. */
  set(line: PublishedLine, hasHeaders: boolean, begin: number, end: number): void {
    this.begin = begin;
    this.#subjectBegin = begin + line.subjectBegin;
    this.#headEnd = begin + line.subjectEnd + 1;
    this.end = end;
    this.#replyLength = line.replyEnd - line.replyBegin;
    this.#payloadBegin = begin + line.payloadBegin;
    this.isPlain = !hasHeaders;
    this.#word = hasHeaders ? WORD_HMSG : WORD_MSG_SPACE;
    this.headerLength = line.headerLength;
  }

  /** Bytes that {@link writeTo} writes. */
  lengthFor(subscription: Subscription<unknown>): number {
    return this.end - this.begin + subscription.sidAndSpaceLength;
  }

  /**
   * Writes MSG or HMSG for one subscription at `at`, where `lengthFor` bytes are reserved.
   *
   * Copies in words that may overrun the end of a part by three bytes; the next part, of at least
   * five bytes, overwrites those.
   */
  writeTo(at: number, subscription: Subscription<unknown>): void {
    const view = this.#view;
    const headEnd = this.#headEnd;
    view.setInt32(at, this.#word, true);
    let from = this.begin + 4;
    let to = at + 4;
    for (; from < headEnd; from += 4, to += 4) view.setInt32(to, view.getInt32(from, true), true);
    to += headEnd - from;
    if (subscription.sidWordCount === 0) {
      this.#bytes.set(subscription.sidAndSpace, to);
    } else {
      view.setInt32(to, subscription.sidLow, true);
      if (subscription.sidWordCount === 2) view.setInt32(to + 4, subscription.sidHigh, true);
    }
    to += subscription.sidAndSpaceLength;
    const { end } = this;
    if (end - headEnd > WORDS_MAX) this.#mover.copy(to, headEnd, end - headEnd);
    else copyWords(view, to, headEnd, end);
  }

  /** Bytes that {@link writeStrippedTo} writes. */
  strippedLengthFor(subscription: Subscription<unknown>): number {
    const payloadLength = this.#strippedPayloadLength();
    const subjectAndSpace = this.#headEnd - this.#subjectBegin;
    const reply = this.#replyLength === 0 ? 0 : this.#replyLength + 1;
    const line =
      4 + subjectAndSpace + subscription.sidAndSpaceLength + reply + digits(payloadLength);
    return line + 2 + payloadLength + 2;
  }

  /** Writes MSG without the headers, for clients that do not understand them. */
  writeStrippedTo(at: number, subscription: Subscription<unknown>): void {
    const bytes = this.#bytes;
    const headEnd = this.#headEnd;
    const payloadLength = this.#strippedPayloadLength();
    this.#view.setInt32(at, WORD_MSG_SPACE, true);
    let to = at + 4;
    bytes.copyWithin(to, this.#subjectBegin, headEnd);
    to += headEnd - this.#subjectBegin;
    bytes.set(subscription.sidAndSpace, to);
    to += subscription.sidAndSpaceLength;
    if (this.#replyLength > 0) {
      bytes.copyWithin(to, headEnd, headEnd + this.#replyLength + 1);
      to += this.#replyLength + 1;
    }
    to = writeNumber(bytes, to, payloadLength);
    bytes[to++] = CR;
    bytes[to++] = LF;
    bytes.copyWithin(to, this.#payloadBegin + this.headerLength, this.end);
  }

  #strippedPayloadLength(): number {
    return this.end - 2 - this.#payloadBegin - this.headerLength;
  }
}

/**
 * Writes the frame at `begin` to `to` in the canonical form that {@link Message} takes: single
 * spaces, CRLF. Changes `line` to describe it. Returns its end; it is at most one CR longer than
 * the frame.
 */
export function writeCanonical(
  bytes: Bytes,
  to: number,
  line: { -readonly [field in keyof PublishedLine]: PublishedLine[field] },
  hasHeaders: boolean,
  begin: number,
): number {
  const name = hasHeaders ? 'HPUB ' : 'PUB ';
  let at = to;
  for (let i = 0; i < name.length; i++) bytes[at++] = name.charCodeAt(i);
  const append = (from: number, end: number): void => {
    bytes.copyWithin(at, begin + from, begin + end);
    at += end - from;
  };
  const subjectBegin = at - to;
  append(line.subjectBegin, line.subjectEnd);
  line.subjectBegin = subjectBegin;
  line.subjectEnd = at - to;
  bytes[at++] = SPACE;
  const replyBegin = at - to;
  append(line.replyBegin, line.replyEnd);
  if (line.replyEnd > line.replyBegin) {
    line.replyEnd = at - to;
    bytes[at++] = SPACE;
  } else {
    line.replyEnd = replyBegin;
  }
  line.replyBegin = replyBegin;
  if (hasHeaders) {
    at = writeNumber(bytes, at, line.headerLength);
    bytes[at++] = SPACE;
  }
  at = writeNumber(bytes, at, line.payloadLength);
  bytes[at++] = CR;
  bytes[at++] = LF;
  const payloadBegin = at - to;
  append(line.payloadBegin, line.payloadBegin + line.payloadLength + 2);
  line.payloadBegin = payloadBegin;
  return at;
}

/** Copies `[from, end)`, at least four bytes, to `to`; the last word overlaps the one before it. */
function copyWords(view: DataView<ArrayBufferLike>, to: number, from: number, end: number): void {
  let source = from;
  let target = to;
  for (const last16 = end - 16; source < last16; source += 16, target += 16) {
    const a = view.getInt32(source, true);
    const b = view.getInt32(source + 4, true);
    const c = view.getInt32(source + 8, true);
    const d = view.getInt32(source + 12, true);
    view.setInt32(target, a, true);
    view.setInt32(target + 4, b, true);
    view.setInt32(target + 8, c, true);
    view.setInt32(target + 12, d, true);
  }
  const last = end - 4;
  for (; source < last; source += 4, target += 4) {
    view.setInt32(target, view.getInt32(source, true), true);
  }
  view.setInt32(target + last - source, view.getInt32(last, true), true);
}

/** Number of decimal digits of an integer. */
function digits(value: number): number {
  let count = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) count++;
  return count;
}

/** Writes an integer in decimal; returns the end offset. */
function writeNumber(bytes: Bytes, at: number, value: number): number {
  const end = at + digits(value);
  for (let to = end - 1, rest = value; to >= at; to--, rest = Math.floor(rest / 10)) {
    bytes[to] = ZERO + (rest % 10);
  }
  return end;
}
