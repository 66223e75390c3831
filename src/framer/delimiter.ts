// SPDX-License-Identifier: MIT
/** The codec for frames that end with a mark. */

import { encodeText } from '../base/bytes.ts';
import { checkBytes, checkOneOf, checkOptions } from '../base/check.ts';
import { type Bytes, copyOf } from '../base/views.ts';
import { ByteFinder } from './byte-finder.ts';
import type { Codec } from './codec.ts';

/** Options of a {@link DelimiterCodec}. */
export interface DelimiterOptions {
  /**
   * A frame longer than the framer's `maxFrameBytes`, its mark included: 'error' (the default) ends
   * the stream with ERR_BUSBAR_FRAME_TOO_LARGE; 'skip' drops it up to its mark, counts it in the
   * framer's `stats().skippedFrames` and continues with the next one. A frame that is being skipped
   * takes no memory except the last bytes, which may begin its mark.
   */
  readonly tooLong?: 'error' | 'skip';
}

/**
 * Frames that end with a mark of one or more bytes, which is not part of the payload. May serve
 * many framers. The mark lies directly after the payload in `pool.bytes`, in the same buffer: to
 * forward a message with its mark, send `mark.length` more bytes.
 *
 * A mark that is split between two arrivals is found. No byte is scanned twice, except the last
 * ones that may be the beginning of the mark (its length less one).
 */
export class DelimiterCodec implements Codec {
  readonly payloadSkip: number = 0;
  readonly payloadTrim: number = 0;
  readonly hasEndMark: true = true;
  readonly tooLong: 'error' | 'skip';
  private readonly delimiter: Bytes;
  private readonly finder: ByteFinder;

  /** `delimiter`: one or more bytes, or a string (UTF-8). The bytes are copied. */
  constructor(delimiter: Bytes | string, options: DelimiterOptions = {}) {
    const { tooLong } = checkOptions('options', options, ['tooLong']);
    this.tooLong = checkOneOf('tooLong', tooLong ?? 'error', ['error', 'skip'] as const);
    const bytes =
      typeof delimiter === 'string'
        ? encodeText(delimiter)
        : copyOf(checkBytes('delimiter', delimiter));
    if (bytes.length === 0) throw new RangeError('delimiter must have one or more bytes, got none');
    this.delimiter = bytes;
    this.finder = new ByteFinder(bytes[0]);
    this.payloadTrim = bytes.length;
  }

  measure(bytes: Bytes, begin: number, end: number, scanned: number): number {
    const finder = this.finder;
    const more = this.payloadTrim - 1; // bytes of the mark after its first
    const room = end - more; // a mark that begins here or later is not complete
    let at = finder.find(bytes, scanned > more ? begin + scanned - more : begin, room);
    while (at >= 0) {
      if (more === 0 || this.endsAt(bytes, at)) return at + more + 1 - begin;
      at = finder.find(bytes, at + 1, room);
    }
    return 0;
  }

  /** **Throws** RangeError if the payload holds the mark: the peer would see two frames. */
  encode(bytes: Bytes, offset: number, length: number): void {
    const { delimiter } = this;
    const end = offset + length;
    for (let i = 0; i < delimiter.length; i++) bytes[end + i] = delimiter[i];
    const whole = length + delimiter.length;
    if (this.measure(bytes, offset, offset + whole, 0) !== whole) {
      throw new RangeError('the payload holds the delimiter');
    }
  }

  /** Whether the rest of the mark follows its first byte at `at`. */
  private endsAt(bytes: Bytes, at: number): boolean {
    const delimiter = this.delimiter;
    for (let i = 1; i < delimiter.length; i++) if (bytes[at + i] !== delimiter[i]) return false;
    return true;
  }
}
