// SPDX-License-Identifier: MIT
/** Passes what a flusher gets to a writable stream. */

import { show } from '../base/check.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';

/** The part of a writable stream of Node that is used here. */
export interface WritableSink {
  write(chunk: Uint8Array, done: () => void): boolean;
  on(event: 'drain', listener: () => void): unknown;
}

/** The part of a `WriteFlusher` that is used here. */
interface Source {
  readonly pool: BufferPool;
  readonly closed: boolean;
  drain(
    sink: (writerId: number, offset: number, length: number, bufferId: BufferId) => void,
    countMax: number,
  ): number;
  setReadyCallback(callback: () => void): void;
}

/** Regions that are taken at once; after that the stream is asked. */
const TAKEN_MAX = 16;

/** Writes every region to the stream, as long as it takes more; releases it when it is out. */
export function pipeInto(flusher: Source, writable: WritableSink): void {
  if (typeof writable?.write !== 'function' || typeof writable.on !== 'function') {
    throw new TypeError(`writable must be a writable stream, got ${show(writable)}`);
  }
  const { pool } = flusher;
  let isFull = false;
  const sink = (_writer: number, offset: number, length: number, bufferId: BufferId): void => {
    const chunk = pool.bytes.subarray(offset, offset + length);
    if (!writable.write(chunk, () => pool.release(bufferId))) isFull = true;
  };
  const pump = (): void => {
    while (!isFull && !flusher.closed && flusher.drain(sink, TAKEN_MAX) > 0);
  };
  writable.on('drain', () => {
    isFull = false;
    pump();
  });
  flusher.setReadyCallback(pump);
  pump();
}
