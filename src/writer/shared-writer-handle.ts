// SPDX-License-Identifier: MIT
/** Handle and tickets of a SharedWriter: creates its block, and checks what other threads send. */

import { loadSeqCst, type Words } from '../base/atomics.ts';
import { checkInteger, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { wordsOf } from '../base/views.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import { hasIdentity, noteIdentity } from '../pool/pool-identity.ts';
import { HEADER_ID } from './flusher-layout.ts';
import type { Lane } from './lane.ts';
import {
  BEGIN,
  BUFFER,
  DELIVERED,
  DELIVERED_AT,
  ENTRY_WORDS,
  EPOCH,
  FILL,
  FREED,
  HEADER_BUFFER_SIZE,
  HEADER_EPOCH_BITS,
  HEADER_FLUSHER,
  HEADER_LANE,
  HEADER_MAGIC,
  HEADER_POOL,
  HEADER_RUN_AFTER,
  HEADER_SEGMENT_BITS,
  HEADER_THREADS,
  RING_SHAPE,
  type RingShape,
  SHARED_BUFFER_SIZE_MAX,
  SHARED_WRITER_MAGIC,
  SHARED_WRITER_VERSION,
  SharedWriterLayout,
} from './shared-writer-layout.ts';
import type { WriteFlusher } from './write-flusher.ts';
import { badReservation } from './writer-checks.ts';
import type { WriterOptions } from './writer-options.ts';

const { MIN_SAFE_INTEGER: MIN, MAX_SAFE_INTEGER: MAX } = Number;

/** Lets another thread attach to a shared writer. Structured-cloneable. */
export interface SharedWriterHandle {
  /** Always 'busbar/shared-writer'. */
  readonly kind: 'busbar/shared-writer';
  readonly version: number;
  readonly control: SharedArrayBuffer;
  readonly options: WriterOptions;
}

/** Passes an open reservation to another thread, once. Structured-cloneable. */
export interface ReservationTicket {
  readonly offset: number;
  readonly entry: number;
  readonly epoch: number;
  readonly threadSlot: number;
}

/** Creates the block of a writer that uses `lane`, with all segments free. */
export function createSharedWriterBlock(
  flusher: WriteFlusher,
  lane: Lane,
  headroom: number,
  shape: RingShape = RING_SHAPE,
  epoch: number = 0,
): Words {
  const { pool } = flusher;
  const layout = new SharedWriterLayout(pool.bufferSize, pool.maxThreads, shape);
  const words = new Int32Array(new SharedArrayBuffer(layout.wordCount * 4));
  words[HEADER_MAGIC] = SHARED_WRITER_MAGIC;
  words[HEADER_BUFFER_SIZE] = pool.bufferSize;
  words[HEADER_THREADS] = pool.maxThreads;
  words[HEADER_FLUSHER] = flusher.words[HEADER_ID];
  noteIdentity(pool, words, HEADER_POOL);
  words[HEADER_LANE] = lane.id;
  words[HEADER_SEGMENT_BITS] = shape.segmentBits;
  words[HEADER_EPOCH_BITS] = shape.epochBits;
  words[HEADER_RUN_AFTER] = shape.runAfter;
  const first = layout.after(epoch, 0);
  words[EPOCH] = words[DELIVERED] = words[FREED] = first;
  words[DELIVERED_AT] = layout.open(0, headroom);
  for (let i = 0; i < layout.segmentCount; i++) {
    const waits = layout.after(first, i);
    words[layout.segment(waits) + FILL] = layout.free(waits);
  }
  return words;
}

/** **Throws** RangeError if an offset in a buffer and an entry do not fit one word together. */
export function checkBufferSize(pool: BufferPool): void {
  if (pool.bufferSize <= SHARED_BUFFER_SIZE_MAX) return;
  throw new RangeError(
    `bufferSize must be at most ${SHARED_BUFFER_SIZE_MAX} here, got ${pool.bufferSize}`,
  );
}

/** Checks a handle, which may come from any source, and opens its block. */
export function openSharedWriterBlock(
  flusher: WriteFlusher,
  handle: SharedWriterHandle,
): { handle: SharedWriterHandle; words: Words } {
  const { kind, version, control, options } = (handle ?? {}) as Partial<SharedWriterHandle>;
  const words = wordsOf(control);
  const hasOptions = typeof options === 'object' && options !== null;
  if (kind !== 'busbar/shared-writer' || words === undefined || !hasOptions) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', `expected writer.handle, got ${show(handle)}`);
  }
  const { bufferSize, maxThreads } = flusher.pool;
  const fits =
    words[HEADER_BUFFER_SIZE] === bufferSize &&
    words[HEADER_THREADS] === maxThreads &&
    words[HEADER_FLUSHER] === flusher.words[HEADER_ID] &&
    hasIdentity(flusher.pool, words, HEADER_POOL) &&
    words[HEADER_LANE] >>> 0 < flusher.layout.writerCount &&
    words.length === SharedWriterLayout.of(words).wordCount;
  if (version !== SHARED_WRITER_VERSION || words[HEADER_MAGIC] !== SHARED_WRITER_MAGIC || !fits) {
    throw new BusbarError(
      'ERR_BUSBAR_BAD_HANDLE',
      'not a writer of this version, pool and flusher',
    );
  }
  // Each field was read once: the checked values are the ones used.
  const own = { kind, version, control, options: { ...options } } as SharedWriterHandle;
  return { handle: Object.freeze(own), words };
}

/** The ticket of an open reservation. */
export function makeTicket(
  words: Words,
  layout: SharedWriterLayout,
  offset: number,
  entry: number,
  threadSlot: number,
): ReservationTicket {
  const epoch = layout.epochOfOpen(entry, loadSeqCst(words, EPOCH));
  return { offset, entry, epoch, threadSlot };
}

/** Reads and checks a ticket, each field once: the checked values are the ones used. */
export function readTicket(
  ticket: ReservationTicket,
  threadCount: number,
  words: Words,
  layout: SharedWriterLayout,
): ReservationTicket {
  if (typeof ticket !== 'object' || ticket === null) {
    throw new TypeError(`ticket must be a ReservationTicket, got ${show(ticket)}`);
  }
  const { offset, entry, epoch, threadSlot } = ticket;
  return {
    offset: checkInteger('ticket.offset', offset, MIN, MAX),
    entry: checkInteger('ticket.entry', entry, layout.entries, words.length - 1),
    epoch: checkInteger('ticket.epoch', epoch, MIN, MAX),
    threadSlot: checkInteger('ticket.threadSlot', threadSlot, 0, threadCount - 1),
  };
}

/**
 * Checks that a ticket can name an open reservation; the entry's STATE then decides.
 */
export function checkTicket(
  ticket: ReservationTicket,
  flusher: WriteFlusher,
  words: Words,
  layout: SharedWriterLayout,
): void {
  const { offset, entry, epoch } = ticket;
  const present = layout.epochOfOpen(entry, loadSeqCst(words, EPOCH));
  const buffer = words[layout.segment(present) + BUFFER];
  const first = layout.entry(present, 0);
  if (epoch !== present || buffer === 0 || (entry - first) % ENTRY_WORDS !== 0)
    throw badReservation(offset);
  const position = offset - flusher.pool.offsetOf((buffer - 1) as BufferId);
  if (position !== words[entry + BEGIN]) throw badReservation(offset);
}
