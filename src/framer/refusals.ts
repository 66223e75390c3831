// SPDX-License-Identifier: MIT
/** The errors of a framer. */

import { BusbarError } from '../base/errors.ts';

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
  if (total > maxFrameBytes) return frameTooLarge(total, maxFrameBytes);
  if (total === 0) return noEnd(maxFrameBytes);
  const around = skip + trim;
  const isInteger = (total | 0) === total || Number.isSafeInteger(total);
  const whole = isInteger && (around | 0) === around;
  if (whole && total > 0 && skip >= 0 && trim >= 0 && around <= total) return undefined;
  const answer = `${total} bytes, ${skip} of them before the payload and ${trim} after it`;
  return new RangeError(`codec.measure must return 0 or a length, got ${answer}`);
}

/** The error for a frame without an end, or without a known length, within this many bytes. */
export function noEnd(max: number): BusbarError {
  return new BusbarError('ERR_BUSBAR_FRAME_TOO_LARGE', `no end within ${max} bytes`);
}

/** The error for a frame that is too long. */
export function frameTooLarge(bytes: number, max: number): BusbarError {
  return new BusbarError('ERR_BUSBAR_FRAME_TOO_LARGE', `${bytes} bytes, at most ${max}`);
}
