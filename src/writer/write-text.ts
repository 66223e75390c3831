// SPDX-License-Identifier: MIT
/** Writes a string as one message, in place. */

import { textBytes, writeText } from '../base/text.ts';
import type { BufferPool } from '../pool/index.ts';

/** The part of a writer that is used here. */
interface TextTarget {
  readonly pool: BufferPool;
  tryReserve(length: number): number;
  commit(offset: number, length: number): void;
}

/** What a writer copies: bytes, or a string, which becomes UTF-8. */
export type WriteSource = Uint8Array | string;

/** False: not now. **Throws** as the writer's `tryReserve`; RangeError for a part of the text. */
export function tryWriteText(
  writer: TextTarget,
  text: string,
  begin: number,
  end: number,
): boolean {
  if (begin !== 0 || end !== text.length) throw new RangeError('begin and end are for bytes only');
  const length = textBytes(text);
  const at = writer.tryReserve(length);
  if (at < 0) return false;
  writeText(writer.pool.bytes, at, text, length);
  writer.commit(at, length);
  return true;
}
