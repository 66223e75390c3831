// SPDX-License-Identifier: MIT
/** The codec for frames that begin with their length as a varint. */

import { checkBoolean, checkOptions } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import type { Bytes } from '../base/views.ts';
import type { Codec } from './codec.ts';

/**
 * A longer prefix is malformed: five groups of seven bits hold every length that a buffer can have.
 */
export const VARINT_BYTES_MAX = 5;

/** How the varint's value is read. */
export interface VarintCodecOptions {
  /** The length counts the prefix itself. Default false, as in protobuf's delimited messages. */
  readonly inclusive?: boolean;
}

/**
 * Frames that consist of an unsigned LEB128 length and that many bytes. A byte has seven bits,
 * lowest first; its high bit is set if more bytes follow.
 *
 * Lengths padded with zero groups are accepted up to {@link VARINT_BYTES_MAX} bytes. May serve many
 * framers.
 */
export class VarintCodec implements Codec {
  /** Bytes of the length before the current frame's payload. @readonly */
  payloadSkip: number = 0;
  readonly payloadTrim: number = 0;
  readonly encodes: 'head' = 'head';
  readonly inclusive: boolean;

  constructor(options: VarintCodecOptions = {}) {
    const own = checkOptions('options', options, ['inclusive']);
    this.inclusive = checkBoolean('inclusive', own.inclusive ?? false);
  }

  /**
   * **Throws** `ERR_BUSBAR_FRAME_MALFORMED`: the prefix is too long, or an inclusive length is less
   * than its prefix.
   */
  measure(bytes: Bytes, begin: number, end: number): number {
    const first = bytes[begin];
    if (first < 0x80) return this.total(first, 1);
    let value = first & 0x7f;
    let scale = 0x80;
    for (let at = begin + 1; at < end; at++) {
      const group = bytes[at];
      value += (group & 0x7f) * scale;
      if (group < 0x80) return this.total(value, at + 1 - begin);
      if (at + 1 - begin === VARINT_BYTES_MAX) {
        throw new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', 'a varint of more than five bytes');
      }
      scale *= 0x80;
    }
    return 0;
  }

  /** A shorter length than the head was made for is padded with zero groups. */
  encode(bytes: Bytes, offset: number, length: number, head: number): void {
    let rest = this.inclusive ? length + head : length;
    for (let at = offset - head; at < offset - 1; at++) {
      bytes[at] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    bytes[offset - 1] = rest;
  }

  headBytes(length: number): number {
    let head = 1;
    while ((this.inclusive ? length + head : length) >= 0x80 ** head) head++;
    return head;
  }

  private total(value: number, prefixBytes: number): number {
    this.payloadSkip = prefixBytes;
    if (!this.inclusive) return prefixBytes + value;
    if (value >= prefixBytes) return value;
    throw new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', 'a length smaller than its own prefix');
  }
}
