// SPDX-License-Identifier: MIT
/** The options of a framer, and their defaults. */

import { checkInteger, checkOptions } from '../base/check.ts';
import type { Codec } from './codec.ts';
import { DelimiterCodec } from './delimiter.ts';
import { LengthPrefixCodec } from './length-prefix.ts';

/** Options of a framer. */
export interface FramerOptions {
  /**
   * The longest frame accepted, in bytes, prefix and delimiter included: 1 … 2⁵³ − 1. Default: the
   * pool's buffer size. A longer one fails with ERR_BUSBAR_FRAME_TOO_LARGE. Frames of up to the
   * buffer size lie in one buffer; with a larger limit, longer ones are delivered in parts (see
   * `Framer`), which needs a codec whose `tooLong` is not 'skip'.
   */
  readonly maxFrameBytes?: number;
  /**
   * `lend()` takes a fresh buffer when less than this is left of the current one, in bytes. From 1
   * to the pool's buffer size. Default an eighth of it: reads are not cut short by a small rest,
   * and at most an eighth of a buffer is left unused.
   */
  readonly readBytesMin?: number;
}

/** Checks the options and applies the defaults. */
export function resolveFramerOptions(
  bufferSize: number,
  codec: Codec | null,
  options: FramerOptions,
): Required<FramerOptions> {
  const own = checkOptions('options', options, ['maxFrameBytes', 'readBytesMin']);
  const maxFrameBytes = own.maxFrameBytes ?? bufferSize;
  const inParts = codec !== null && codec.tooLong !== 'skip';
  const longest = inParts ? Number.MAX_SAFE_INTEGER : bufferSize;
  const readBytesMin = own.readBytesMin ?? Math.max(1, bufferSize >>> 3);
  return Object.freeze({
    maxFrameBytes: checkInteger('maxFrameBytes', maxFrameBytes, 1, longest),
    readBytesMin: checkInteger('readBytesMin', readBytesMin, 1, bufferSize),
  });
}

/**
 * Every frame of these codecs has a prefix or a delimiter, as many bytes each time: a limit below
 * that would refuse all frames. For other codecs that is unknown until a frame comes.
 *
 * **Throws** RangeError.
 */
export function checkCodecFits(codec: Codec | null, maxFrameBytes: number): void {
  const isLengthPrefix = codec instanceof LengthPrefixCodec;
  if (!isLengthPrefix && !(codec instanceof DelimiterCodec)) return;
  const bytes = isLengthPrefix ? codec.payloadSkip : codec.payloadTrim;
  if (bytes <= maxFrameBytes) return;
  const what = isLengthPrefix ? 'prefix' : 'delimiter';
  throw new RangeError(
    `maxFrameBytes must hold the codec's ${what}, ${bytes} bytes, got ${maxFrameBytes}`,
  );
}
