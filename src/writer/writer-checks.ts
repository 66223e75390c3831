// SPDX-License-Identifier: MIT
/** The writers' room: what both kinds of writers check, and say, in the same way. */

import { show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { WriteFlusher } from './write-flusher.ts';

/** Whose lanes a writer is to use. */
export function checkFlusher(flusher: unknown): WriteFlusher {
  if (flusher instanceof WriteFlusher) return flusher;
  throw new TypeError(`flusher must be a WriteFlusher, got ${show(flusher)}`);
}

/** For an offset at which no reservation is open. */
export function badReservation(offset: unknown): BusbarError {
  const detail =
    typeof offset === 'object'
      ? `offset is ${show(offset)}; a Reservation has a commit() of its own`
      : `offset ${String(offset)}`;
  return new BusbarError('ERR_BUSBAR_BAD_RESERVATION', detail);
}
