// SPDX-License-Identifier: MIT
/** The errors of a framer. */

import { show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';

const { isSafeInteger } = Number;

/**
 * The error for what a codec has returned, if it is wrong: too long, no end at the limit, or not a
 * length.
 */
export function refuseMeasure(
  total: number,
  skip: number,
  trim: number,
  maxFrameBytes: number,
): Error | undefined {
  // A codec may return anything: a bigint, say, with which every operator throws.
  const isTooLong = typeof total === 'number' && total > maxFrameBytes;
  if (isTooLong) return frameTooLarge(total, maxFrameBytes);
  if (total === 0) return noEnd(maxFrameBytes);
  const whole = isSafeInteger(total) && isSafeInteger(skip) && isSafeInteger(trim);
  if (whole && total > 0 && skip >= 0 && trim >= 0 && skip + trim <= total) return undefined;
  const around = `${show(skip)} of them before the payload and ${show(trim)} after it`;
  return new RangeError(
    `codec.measure must return 0 or a length, got ${show(total)} bytes, ${around}`,
  );
}

/** The error for a frame without an end, or without a known length, within this many bytes. */
export function noEnd(max: number): BusbarError {
  return new BusbarError('ERR_BUSBAR_FRAME_TOO_LARGE', `no end within ${max} bytes`);
}

/** The error for a frame that is too long. */
export function frameTooLarge(bytes: number, max: number): BusbarError {
  return new BusbarError('ERR_BUSBAR_FRAME_TOO_LARGE', `${bytes} bytes, at most ${max}`);
}
