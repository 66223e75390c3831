// SPDX-License-Identifier: MIT
/** The options of a framer, and their defaults. */

import { checkInteger, checkOptions } from '../base/check.ts';

/** Options of a framer. */
export interface FramerOptions {
  /**
   * Length of the longest frame accepted, in bytes, prefix and delimiter included. From 1 to the
   * pool's buffer size, which is the default: a frame lives in one buffer.
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
  options: FramerOptions,
): Required<FramerOptions> {
  const own = checkOptions('options', options, ['maxFrameBytes', 'readBytesMin']);
  const maxFrameBytes = own.maxFrameBytes ?? bufferSize;
  const readBytesMin = own.readBytesMin ?? Math.max(1, bufferSize >>> 3);
  return Object.freeze({
    maxFrameBytes: checkInteger('maxFrameBytes', maxFrameBytes, 1, bufferSize),
    readBytesMin: checkInteger('readBytesMin', readBytesMin, 1, bufferSize),
  });
}
