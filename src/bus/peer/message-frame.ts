// SPDX-License-Identifier: MIT
/** Messages as frames between buses: see peer-layout.ts. */

import { BusbarError } from '../../base/errors.ts';
import { textBytes, writeText } from '../../base/text.ts';
import type { BufferPool } from '../../pool/index.ts';
import type { Envelope } from '../envelope.ts';
import type { Bytes } from '../subject.ts';
import { MESSAGE, MESSAGE_WORDS, padded, REFERENCE, WORD_BYTES } from './peer-layout.ts';

type Words = Int32Array<ArrayBufferLike>;

const HIGH = 2 ** 32;
const TEXT_BYTES_MAX = 0xffff;

/** A subject as words: its bytes, and zeros. */
export interface SubjectWords {
  readonly byteLength: number;
  readonly words: Words;
}

/** What a frame has before its payload. */
export class FrameHead {
  /** Bytes of the frame before its payload. */
  length: number = 0;
  #subject: SubjectWords | undefined = undefined;
  #reply: string = '';
  #replyBytes: number = 0;
  #headers: string = '';
  #headerBytes: number = 0;

  /** Measures it. */
  set(subject: SubjectWords, { reply, headers }: Envelope): void {
    this.#subject = subject;
    this.#reply = reply ?? '';
    this.#replyBytes = reply === undefined ? 0 : textBytes(reply);
    this.#headers = headers === undefined ? '' : JSON.stringify(headers);
    this.#headerBytes = headers === undefined ? 0 : textBytes(this.#headers);
    const texts = this.#replyBytes + this.#headerBytes;
    this.length = MESSAGE_WORDS * WORD_BYTES + padded(subject.byteLength) + padded(texts);
  }

  /** {@link set}, if it fits a buffer. **Throws** ERR_BUSBAR_MESSAGE_TOO_LARGE. */
  check(subject: SubjectWords, envelope: Envelope, { bufferSize }: BufferPool): void {
    this.set(subject, envelope);
    if (this.length <= bufferSize) return;
    throw new BusbarError(
      'ERR_BUSBAR_MESSAGE_TOO_LARGE',
      `subject, reply and headers take ${this.length} bytes, buffers have ${bufferSize}`,
    );
  }

  /**
   * Writes the head at offset `at`. `reference`: the payload lies at that offset of the pool; -1:
   * it follows.
   */
  write(
    bytes: Bytes,
    words: Words,
    at: number,
    sequence: number,
    payloadBytes: number,
    reference: number,
  ): void {
    const subject = this.#subject as SubjectWords;
    const head = at >>> 2;
    const isReference = reference >= 0;
    const { length } = this;
    words[head] = isReference ? REFERENCE : MESSAGE;
    words[head + 1] = isReference ? length : length + padded(payloadBytes);
    words[head + 2] = payloadBytes;
    words[head + 3] = subject.byteLength | (this.#replyBytes << 16);
    words[head + 4] = this.#headerBytes;
    words[head + 5] = sequence | 0;
    words[head + 6] = Math.floor(sequence / HIGH);
    words[head + 7] = isReference ? reference : length;
    const source = subject.words;
    const target = head + MESSAGE_WORDS;
    for (let i = 0; i < source.length; i++) words[target + i] = source[i];
    const texts = (target + source.length) * WORD_BYTES;
    if (this.#replyBytes > 0) writeText(bytes, texts, this.#reply, this.#replyBytes);
    if (this.#headerBytes > 0) {
      writeText(bytes, texts + this.#replyBytes, this.#headers, this.#headerBytes);
    }
  }
}

/** A frame that has come; one object for all of a bus. */
export class MessageFrame {
  /** Where it begins and ends. */
  at: number = 0;
  end: number = 0;
  subjectAt: number = 0;
  subjectBytes: number = 0;
  /** Where its reply subject begins. */
  replyAt: number = 0;
  replyBytes: number = 0;
  /** Its headers follow. */
  headerBytes: number = 0;
  sequence: number = 0;
  payloadAt: number = 0;
  payloadBytes: number = 0;
  /** Whether the payload lies elsewhere. */
  isReference: boolean = false;

  /** Reads the frame at `at`, which must end by `limit`. False: it is no such frame. */
  read(words: Words, at: number, limit: number): boolean {
    const head = at >>> 2;
    const kind = words[head];
    if (kind !== MESSAGE && kind !== REFERENCE) return false;
    const payloadBytes = words[head + 2];
    const subjectBytes = words[head + 3] & TEXT_BYTES_MAX;
    const replyBytes = words[head + 3] >>> 16;
    const headerBytes = words[head + 4];
    const texts = at + MESSAGE_WORDS * WORD_BYTES + padded(subjectBytes);
    const payloadAt = texts + padded(replyBytes + headerBytes);
    const isReference = kind === REFERENCE;
    // Compared before it is padded: near 2³¹ that wraps.
    const here = isReference ? 0 : payloadBytes;
    if (payloadBytes < 0 || headerBytes < 0 || Math.max(headerBytes, here) > limit - at) {
      return false;
    }
    const end = payloadAt + padded(here);
    if (end > limit || words[head + 1] !== end - at) return false;
    this.at = at;
    this.end = end;
    this.subjectAt = at + MESSAGE_WORDS * WORD_BYTES;
    this.subjectBytes = subjectBytes;
    this.replyAt = texts;
    this.replyBytes = replyBytes;
    this.headerBytes = headerBytes;
    this.sequence = (words[head + 5] >>> 0) + words[head + 6] * HIGH;
    this.payloadAt = isReference ? words[head + 7] : payloadAt;
    this.payloadBytes = payloadBytes;
    this.isReference = isReference;
    return true;
  }
}
