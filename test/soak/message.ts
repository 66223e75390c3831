// SPDX-License-Identifier: MIT
/**
 * Soak: the messages of all loads. Each contains what is needed to check it and to compute its
 * latency.
 *
 *   byte   0        4        8        12                20 … length
 *        │ stream │ number │ check  │ sent, ms as f64 │ bytes that follow from the number │
 *
 * CHECK covers the other fields and the length; all of them big endian.
 */

import { Random } from '../../src/base/random.ts';

const NUMBER_AT = 4;
const CHECK_AT = 8;
const SENT_AT = 12;
const BODY_AT = 20;
const LENGTHS = [20, 64, 200, 1000] as const;
/** One message in this many is long. */
const LONG_EVERY = 256;
export const MESSAGE_BYTES_MAX = 16_000;
/** Where in the pattern a body may begin. */
const BEGIN_BITS = 12;
const PATTERN_SEED = 0x5eed;
const BITS = 32;

/** The same in every process. */
const pattern: Buffer = makePattern();

function makePattern(): Buffer {
  const random = new Random(PATTERN_SEED);
  const bytes = Buffer.alloc((1 << BEGIN_BITS) + MESSAGE_BYTES_MAX);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.next();
  return bytes;
}

/** Memory with messages in it: a pool's, or a buffer of one's own. */
export class MessageMemory {
  readonly bytes: Buffer;
  readonly view: DataView;

  constructor(memory: Uint8Array) {
    this.bytes = Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength);
    this.view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  }

  /** Writes the message, `lengthOf(number)` bytes. */
  write(offset: number, stream: number, number: number, sentMs: number): void {
    const length = lengthOf(number);
    const { view } = this;
    view.setUint32(offset, stream);
    view.setUint32(offset + NUMBER_AT, number);
    view.setFloat64(offset + SENT_AT, sentMs);
    view.setInt32(offset + CHECK_AT, this.#checkOf(offset, length));
    const begin = beginOf(number);
    pattern.copy(this.bytes, offset + BODY_AT, begin, begin + length - BODY_AT);
  }

  streamAt(offset: number): number {
    return this.view.getUint32(offset);
  }

  numberAt(offset: number): number {
    return this.view.getUint32(offset + NUMBER_AT);
  }

  sentMsAt(offset: number): number {
    return this.view.getFloat64(offset + SENT_AT);
  }

  /** Whether every byte is what was sent. */
  isRight(offset: number, length: number): boolean {
    if (length < BODY_AT) return false;
    const { bytes, view } = this;
    const number = this.numberAt(offset);
    if (length !== lengthOf(number)) return false;
    if (view.getInt32(offset + CHECK_AT) !== this.#checkOf(offset, length)) return false;
    const begin = beginOf(number);
    const end = begin + length - BODY_AT;
    return pattern.compare(bytes, offset + BODY_AT, offset + length, begin, end) === 0;
  }

  #checkOf(offset: number, length: number): number {
    const { view } = this;
    let check = Math.imul(view.getInt32(offset), 0x9e3779b1) ^ Math.imul(length, 0x85ebca6b);
    check = Math.imul(check ^ view.getInt32(offset + NUMBER_AT), 0xc2b2ae35);
    check = Math.imul(check ^ view.getInt32(offset + SENT_AT), 0x27d4eb2f);
    return Math.imul(check ^ view.getInt32(offset + SENT_AT + 4), 0x165667b1);
  }
}

/** Bytes of the message with this number. */
export function lengthOf(number: number): number {
  if (number % LONG_EVERY === LONG_EVERY - 1) return MESSAGE_BYTES_MAX;
  return LENGTHS[number % LENGTHS.length];
}

function beginOf(number: number): number {
  return Math.imul(number, 0x9e3779b1) >>> (BITS - BEGIN_BITS);
}
