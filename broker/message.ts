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
 *
 * A line with other spaces, or for a client without headers, is put together from its parts.
 */

import type { Bytes } from 'busbar/bus';
import type { BufferPool } from 'busbar/pool';
import { CR, LF, OP_PUB, type ProtocolCodec, SPACE, ZERO } from './protocol.ts';
import type { Subscription } from './subscription.ts';

/**
 * First words of the lines, little-endian. The word of HMSG is followed by the space of the HPUB
 * line.
 */
const WORD_MSG_SPACE = 0x2047534d;
const WORD_HMSG = 0x47534d48;
/** HMSG and a space. */
const NAME_BYTES_MAX = 5;

/** Where frames and outputs lie. */
export type MessageMemory = Pick<BufferPool, 'view' | 'bytes' | 'copy'>;

/** Up to this many bytes a loop over words is as fast. */
const WORDS_MAX = 32;

/**
 * One message; created once per connection and set for each frame, of which `codec` has the line
 * until the message is delivered. Positions are absolute in the memory.
 */
export class Message {
  readonly #memory: MessageMemory;
  readonly #view: DataView<ArrayBufferLike>;
  readonly #codec: ProtocolCodec;

  begin: number = 0;
  end: number = 0;
  /** Every client gets it as it came. */
  isForAll: boolean = false;
  /** Clients that understand headers do. */
  isForHeaders: boolean = false;
  #headEnd: number = 0;
  #word: number = 0;

  constructor(memory: MessageMemory, codec: ProtocolCodec) {
    this.#memory = memory;
    this.#view = memory.view;
    this.#codec = codec;
  }

  /** Sets the message to the frame `[begin, end)`, a PUB or HPUB. */
  set(begin: number, end: number): void {
    const codec = this.#codec;
    const { headerLength, isCanonical } = codec;
    this.begin = begin;
    this.end = end;
    this.#headEnd = begin + codec.subjectEnd + 1;
    this.isForAll = isCanonical && codec.op === OP_PUB;
    this.isForHeaders = isCanonical && headerLength > 0;
    this.#word = headerLength > 0 ? WORD_HMSG : WORD_MSG_SPACE;
  }

  /** Bytes that {@link writeTo} writes. */
  lengthFor(subscription: Subscription<unknown>): number {
    return this.end - this.begin + subscription.sidAndSpaceLength;
  }

  /**
   * Writes MSG or HMSG as it came for one subscription at `at`, where `lengthFor` bytes are
   * reserved.
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
      this.#memory.bytes.set(subscription.sidAndSpace, to);
    } else {
      view.setInt32(to, subscription.sidLow, true);
      if (subscription.sidWordCount === 2) view.setInt32(to + 4, subscription.sidHigh, true);
    }
    to += subscription.sidAndSpaceLength;
    const { end } = this;
    if (end - headEnd > WORDS_MAX) this.#memory.copy(to, headEnd, end - headEnd);
    else copyWords(view, to, headEnd, end);
  }

  /** Bytes that {@link writePartsTo} writes at most: the line may have ended without a CR. */
  lengthMaxFor(subscription: Subscription<unknown>): number {
    const subjectBegin = this.begin + this.#codec.subjectBegin;
    return NAME_BYTES_MAX + this.end - subjectBegin + subscription.sidAndSpaceLength + 1;
  }

  /**
   * Writes MSG or, for a client that understands `headers`, HMSG, from the parts of the frame.
   * Returns the number of bytes.
   */
  writePartsTo(at: number, subscription: Subscription<unknown>, headers: boolean): number {
    const { bytes } = this.#memory;
    const codec = this.#codec;
    const { begin } = this;
    const headerLength = headers ? codec.headerLength : 0;
    const skipped = codec.headerLength - headerLength;
    this.#view.setInt32(at, headerLength > 0 ? WORD_HMSG : WORD_MSG_SPACE, true);
    let to = at + 4;
    if (headerLength > 0) bytes[to++] = SPACE;
    const append = (from: number, end: number): void => {
      bytes.copyWithin(to, begin + from, begin + end);
      to += end - from;
    };
    append(codec.subjectBegin, codec.subjectEnd);
    bytes[to++] = SPACE;
    bytes.set(subscription.sidAndSpace, to);
    to += subscription.sidAndSpaceLength;
    if (codec.replyEnd > codec.replyBegin) {
      append(codec.replyBegin, codec.replyEnd);
      bytes[to++] = SPACE;
    }
    if (headerLength > 0) {
      to = writeNumber(bytes, to, headerLength);
      bytes[to++] = SPACE;
    }
    to = writeNumber(bytes, to, codec.payloadLength - skipped);
    bytes[to++] = CR;
    bytes[to++] = LF;
    append(codec.payloadBegin + skipped, this.end - begin);
    return to - at;
  }
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

/** Writes an integer in decimal; returns the end offset. */
function writeNumber(bytes: Bytes, at: number, value: number): number {
  let end = at + 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) end++;
  for (let to = end - 1, rest = value; to >= at; to--, rest = Math.floor(rest / 10)) {
    bytes[to] = ZERO + (rest % 10);
  }
  return end;
}
