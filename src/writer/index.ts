// SPDX-License-Identifier: MIT
/** `busbar/writer`: writers that batch messages into regions, and flushers that collect them. */
/// <reference types="node" preserve="true" />

export type {
  WriteFlusherHandle,
  WriteFlusherOptions,
  WriteFlusherStats,
} from './flusher-options.ts';
export { LocalWriter } from './local-writer.ts';
export type { WritableSink } from './pipe-to.ts';
export { Reservation } from './reservation.ts';
export { SharedWriter } from './shared-writer.ts';
export type { ReservationTicket, SharedWriterHandle } from './shared-writer-handle.ts';
export { type RegionSink, WriteFlusher } from './write-flusher.ts';
export type { WriteSource } from './write-text.ts';
export type { FlushPolicy, WriterOptions } from './writer-options.ts';
