// SPDX-License-Identifier: MIT
/** `busbar/writer`: many messages, one flush. */

export type { WriteFlusherHandle, WriteFlusherOptions } from './flusher-options.ts';
export { LocalWriter } from './local-writer.ts';
export { Reservation } from './reservation.ts';
export {
  type ReservationTicket,
  SharedWriter,
  type SharedWriterHandle,
} from './shared-writer.ts';
export { type RegionSink, WriteFlusher, type WriteFlusherStats } from './write-flusher.ts';
export type { FlushPolicy, WriterOptions } from './writer-options.ts';
