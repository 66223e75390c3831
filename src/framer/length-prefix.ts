// SPDX-License-Identifier: MIT
/** The codec for frames that begin with their length, in one to four bytes. */

import { checkBoolean, checkOneOf, checkOptions } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import type { Bytes } from '../base/views.ts';
import type { Codec } from './codec.ts';

/** The unsigned integer that a frame begins with. */
export type LengthPrefix = 'u8' | 'u16' | 'u24' | 'u32';

const PREFIX_BYTES: Readonly<Record<LengthPrefix, number>> = { u8: 1, u16: 2, u24: 3, u32: 4 };

/** How the prefix is read. */
export interface LengthPrefixCodecOptions {
  /** Default `'big'`, the order of most protocols. No effect for `'u8'`. */
  readonly byteOrder?: 'big' | 'little';
  /** The length counts the prefix itself. Default false. */
  readonly inclusive?: boolean;
}

/**
 * Frames that consist of a length and that many bytes. May serve many framers.
 *
 * A framer recognises this class and reads the prefix itself, without a call. A subclass is a codec
 * like any other.
 */
export class LengthPrefixCodec implements Codec {
  readonly payloadSkip: number = 0;
  readonly payloadTrim: number = 0;
  readonly encodes: 'head' = 'head';
  readonly littleEndian: boolean;
  readonly inclusive: boolean;

  constructor(prefix: LengthPrefix, options: LengthPrefixCodecOptions = {}) {
    checkOneOf('prefix', prefix, ['u8', 'u16', 'u24', 'u32']);
    const own = checkOptions('options', options, ['byteOrder', 'inclusive']);
    const byteOrder = checkOneOf('byteOrder', own.byteOrder ?? 'big', ['big', 'little']);
    this.payloadSkip = PREFIX_BYTES[prefix];
    this.littleEndian = byteOrder === 'little';
    this.inclusive = checkBoolean('inclusive', own.inclusive ?? false);
  }

  /** **Throws** `ERR_BUSBAR_FRAME_MALFORMED`: an inclusive length is less than its prefix. */
  measure(bytes: Bytes, begin: number, end: number): number {
    const prefixBytes = this.payloadSkip;
    if (end - begin < prefixBytes) return 0;
    let value = bytes[begin];
    if (prefixBytes === 2) {
      const second = bytes[begin + 1];
      value = this.littleEndian ? value | (second << 8) : (value << 8) | second;
    } else if (prefixBytes === 3) {
      const third = bytes[begin + 2];
      const outer = this.littleEndian ? value | (third << 16) : (value << 16) | third;
      value = outer | (bytes[begin + 1] << 8);
    } else if (prefixBytes === 4) {
      value = readU32(bytes, begin, this.littleEndian);
    }
    if (!this.inclusive) return prefixBytes + value;
    if (value >= prefixBytes) return value;
    throw new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', 'a length smaller than its own prefix');
  }

  /** **Throws** ERR_BUSBAR_MESSAGE_TOO_LARGE: the prefix cannot hold the length. */
  encode(bytes: Bytes, offset: number, length: number): void {
    const size = this.payloadSkip;
    const value = this.inclusive ? length + size : length;
    if (size < 4 ? value >= 1 << (8 * size) : value > 0xffff_ffff) {
      throw new BusbarError('ERR_BUSBAR_MESSAGE_TOO_LARGE', `${length} bytes, prefix u${8 * size}`);
    }
    const begin = offset - size;
    for (let i = 0; i < size; i++) {
      bytes[begin + i] = value >>> (8 * (this.littleEndian ? i : size - 1 - i));
    }
  }
}

function readU32(bytes: Bytes, at: number, littleEndian: boolean): number {
  const first = bytes[at] | (bytes[at + 1] << 8);
  const last = bytes[at + 2] | (bytes[at + 3] << 8);
  if (littleEndian) return (first | (last << 16)) >>> 0;
  const swapped =
    ((first & 0xff) << 24) | ((first & 0xff00) << 8) | ((last & 0xff) << 8) | (last >> 8);
  return swapped >>> 0;
}
