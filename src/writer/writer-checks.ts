// SPDX-License-Identifier: MIT
/** Checks and errors that both kinds of writer share. */

import { checkInteger, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { WriteFlusher } from './write-flusher.ts';

/** Checks that an argument is a `WriteFlusher`. */
export function checkFlusher(flusher: unknown): WriteFlusher {
  if (flusher instanceof WriteFlusher) return flusher;
  throw new TypeError(`flusher must be a WriteFlusher, got ${show(flusher)}`);
}

/** **Throws** if the writer is closed, as `closed` says, or its flusher. */
export function checkOpen(closed: boolean, flusher: WriteFlusher): void {
  if (closed) throw new BusbarError('ERR_BUSBAR_WRITER_CLOSED');
  if (flusher.closed) throw new BusbarError('ERR_BUSBAR_FLUSHER_CLOSED');
}

/** Checks the length of a message. **Throws** also if it is above `max`, what a buffer holds. */
export function checkMessageLength(length: number, max: number): void {
  checkInteger('length', length, 0, 0x7fff_ffff);
  if (length <= max) return;
  throw new BusbarError('ERR_BUSBAR_MESSAGE_TOO_LARGE', `${length} bytes, a buffer holds ${max}`);
}

/** The error for an offset at which no reservation is open. */
export function badReservation(offset: unknown): BusbarError {
  const detail =
    typeof offset === 'object'
      ? `offset is ${show(offset)}; a Reservation has its own commit()`
      : `offset ${String(offset)}`;
  return new BusbarError('ERR_BUSBAR_BAD_RESERVATION', detail);
}
