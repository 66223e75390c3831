// SPDX-License-Identifier: MIT
/** The writers' room: what both kinds of writers check, and say, in the same way. */

import { checkByteRange } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';

/** A message to copy: anything else would fail halfway, its reservation open. */
export function checkSource(source: Uint8Array, begin: number, end: number): void {
  if (
    !(begin >= 0 && begin <= end && end <= source.length) ||
    (begin | 0) !== begin ||
    (end | 0) !== end ||
    !(source instanceof Uint8Array)
  ) {
    checkByteRange('source', source, begin, end);
  }
}

/** For an offset at which no reservation is open. */
export function badReservation(offset: unknown): BusbarError {
  return new BusbarError('ERR_BUSBAR_BAD_RESERVATION', `offset ${String(offset)}`);
}
