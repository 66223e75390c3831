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
  // One that can be read may pass the bytes on after it has called back; a socket does not.
  const { read, connect } = writable as { readonly read?: unknown; readonly connect?: unknown };
  const passesOn = typeof read === 'function' && typeof connect !== 'function';
  const hasEnded = (): boolean => writable.writable === false;
  let isFull = false;
  let drains = 0;
  const sink = (_writer: number, offset: number, length: number, bufferId: BufferId): void => {
    let isHeld = true;
    const release = (): void => {
      if (isHeld) pool.release(bufferId);
      isHeld = false;
    };
    const done = (error?: unknown): void => {
      release();
      if ((error !== undefined && error !== null) || hasEnded()) goOn();
    };
    try {
      const bytes = pool.bytes.subarray(offset, offset + length);
      const before = drains;
      if (hasEnded()) release();
      else if (!writable.write(passesOn ? bytes.slice() : bytes, done)) {
        // Its events may have come within `write`; no more come if it has ended there.
        if (drains === before && !hasEnded()) isFull = true;
      }
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
    drains++;
    pump();
  };
  flusher.setReadyCallback(pump);
  for (const event of GOES_ON) writable.on(event, goOn);
  pump();
}
