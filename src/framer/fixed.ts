// SPDX-License-Identifier: MIT
/** The codec for frames of one fixed length. */

import { checkInteger } from '../base/check.ts';
import type { Bytes } from '../base/views.ts';
import type { Codec } from './codec.ts';

/** Every frame has `frameBytes` bytes, all of them payload. May serve many framers. */
export class FixedCodec implements Codec {
  readonly payloadSkip: number = 0;
  readonly payloadTrim: number = 0;
  readonly encodes: 'head' = 'head';
  readonly frameBytes: number = 0;

  /**
   * `frameBytes`: from 1 to 2³¹−1; a framer whose `maxFrameBytes` is smaller fails with the first
   * byte.
   */
  constructor(frameBytes: number) {
    this.frameBytes = checkInteger('frameBytes', frameBytes, 1, 0x7fffffff);
  }

  measure(): number {
    return this.frameBytes;
  }

  /** **Throws** RangeError if the payload has another length. */
  encode(_bytes: Bytes, _offset: number, length: number): void {
    checkInteger('length', length, this.frameBytes, this.frameBytes);
  }
}
