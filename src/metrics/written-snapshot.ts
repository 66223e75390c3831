// SPDX-License-Identifier: MIT
/** What a monitor writes into a `SeqLock` for a monitor of another thread: JSON and blanks. */

import type { SeqLock } from '../sync/index.ts';
import type { Metric } from './metric-table.ts';
import type { ObjectSnapshot } from './snapshot.ts';

interface Written {
  /** The metrics of the writer's own kinds. */
  readonly own: Readonly<Record<string, readonly Metric[]>>;
  readonly objects: readonly ObjectSnapshot[];
}

const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;
const BLANK = 0x20;

/** Where it does not fit, the reader is told so instead. */
export function tryWrite(lock: SeqLock, written: Written): 'written' | 'busy' | 'full' {
  const words = new Int32Array(lock.length);
  const room = new Uint8Array(words.buffer).fill(BLANK);
  let bytes = Buffer.from(JSON.stringify(written));
  const isFull = bytes.length > room.length;
  if (isFull) {
    const needed = Math.ceil(bytes.length / WORD_BYTES);
    const error = `what is written needs ${needed} words, the lock has ${lock.length}`;
    bytes = Buffer.from(JSON.stringify({ error }));
  }
  room.set(bytes.subarray(0, room.length));
  const result = lock.tryWrite(words);
  return isFull && result === 'written' ? 'full' : result;
}

/** Nothing was written yet: no objects. **Throws** an Error if it cannot be read. */
export function readWritten(lock: SeqLock): Written {
  if (lock.count === 0) return { own: {}, objects: [] };
  const words = new Int32Array(lock.length);
  if (lock.tryRead(words) !== 'read') throw new Error('it is written without a pause');
  const { error, ...written } = parse(Buffer.from(words.buffer).toString());
  if (error !== undefined) throw new Error(error);
  return written;
}

function parse(text: string): Written & { readonly error?: string } {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = 'not written by monitor.tryWrite, or the lock has no room for an error';
    throw new Error(`what is in it is no JSON: ${why}`, { cause });
  }
}
