// SPDX-License-Identifier: MIT
/** Writes a flusher's regions to a writable stream. */

import { show } from '../base/check.ts';
import { throwLater } from '../base/throw-later.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';

/** The part of a writable stream of Node that is used here. */
export interface WritableSink {
  /** False once it has ended or failed. */
  readonly writable?: boolean;
  write(chunk: Uint8Array, done: (error?: unknown) => void): boolean;
  on(event: string, listener: () => void): unknown;
}

/** The part of a `WriteFlusher` that is used here. */
interface Source {
  readonly pool: BufferPool;
  readonly closed: boolean;
  readonly readyCallback: (() => void) | undefined;
  drain(
    sink: (writerId: number, offset: number, length: number, bufferId: BufferId) => void,
    countMax: number,
  ): number;
  setReadyCallback(callback: () => void): void;
}

/** Regions in one drain, before it is checked again whether the stream takes more. */
const TAKEN_MAX = 16;

/** After these events a stream takes more, or will never take more. */
const GOES_ON: readonly string[] = ['drain', 'finish', 'close'];

/**
 * Writes every region to the stream, as long as it takes more; releases it when it is out, or when
 * the stream has ended or failed.
 */
export function pipeInto(flusher: Source, writable: WritableSink): void {
  if (typeof writable?.write !== 'function' || typeof writable.on !== 'function') {
    throw new TypeError(`writable must be a writable stream, got ${show(writable)}`);
  }
  const { pool } = flusher;
  let isFull = false;
  const sink = (_writer: number, offset: number, length: number, bufferId: BufferId): void => {
    let isHeld = true;
    const release = (): void => {
      if (isHeld) pool.release(bufferId);
      isHeld = false;
    };
    const done = (error?: unknown): void => {
      release();
      if (error !== undefined && error !== null) goOn();
    };
    try {
      const chunk = pool.bytes.subarray(offset, offset + length);
      if (writable.writable === false) release();
      else if (!writable.write(chunk, done)) isFull = true;
    } catch (error) {
      release();
      throwLater(error);
    }
  };
  const pump = (): void => {
    while (!isFull && flusher.readyCallback === pump && flusher.drain(sink, TAKEN_MAX) > 0);
  };
  const goOn = (): void => {
    isFull = false;
    pump();
  };
  flusher.setReadyCallback(pump);
  for (const event of GOES_ON) writable.on(event, goOn);
  pump();
}
