// SPDX-License-Identifier: MIT
/** A codec that calls the user's function. */

import { checkFunction, checkInteger, checkOptions } from '../base/check.ts';
import type { Bytes } from '../base/views.ts';
import type { Codec } from './codec.ts';

/**
 * See {@link Codec.measure}. It may set `codec.payloadSkip` and `codec.payloadTrim` for each frame.
 */
export type MeasureFrame = (
  bytes: Bytes,
  begin: number,
  end: number,
  scanned: number,
  codec: CustomCodec,
) => number;

/** Where the payload of a measured frame lies, unless the function changes it. */
export interface CustomCodecOptions {
  /**
   * Bytes of each frame before its payload. Default 0: the function sees and delivers whole frames.
   */
  readonly payloadSkip?: number;
  /** Bytes of each frame after its payload. Default 0. */
  readonly payloadTrim?: number;
}

/**
 * Turns one function into a codec. A class that implements {@link Codec} saves one call per frame.
 *
 * Belongs to one framer if the function keeps anything between two calls.
 */
export class CustomCodec implements Codec {
  payloadSkip: number = 0;
  payloadTrim: number = 0;
  private readonly measureFrame: MeasureFrame;

  constructor(measure: MeasureFrame, options: CustomCodecOptions = {}) {
    this.measureFrame = checkFunction('measure', measure);
    const own = checkOptions('options', options, ['payloadSkip', 'payloadTrim']);
    this.payloadSkip = checkInteger('payloadSkip', own.payloadSkip ?? 0, 0, 0x7fffffff);
    this.payloadTrim = checkInteger('payloadTrim', own.payloadTrim ?? 0, 0, 0x7fffffff);
  }

  measure(bytes: Bytes, begin: number, end: number, scanned: number): number {
    return this.measureFrame(bytes, begin, end, scanned, this);
  }
}
