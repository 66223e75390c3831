// SPDX-License-Identifier: MIT
/** The search for one byte value, many bytes at a time. */

import { arenaOf } from '../base/arena.ts';
import { checkInteger, checkRange } from '../base/check.ts';
import { findByte } from '../base/plain-arena.ts';
import { type Bytes, lengthOf } from '../base/views.ts';

/** Where a finder looks: an arena, or the same for other bytes. */
interface Finder {
  readonly byteLength: number;
  find(byte: number, begin: number, end: number): number;
}

/**
 * Finds the first place of one byte value in a range. For codecs of text protocols.
 *
 * `Uint8Array.indexOf` takes no end: on a pool it would search all other buffers, too, and a view
 * that bounds it is garbage to collect.
 *
 * **Threads** One. **Cost** O(bytes), nothing allocated; the first call on other memory makes one
 * view.
 */
export class ByteFinder {
  readonly byte: number = 0;
  private bytes: Bytes | undefined;
  private finder: Finder;

  constructor(byte: number) {
    this.byte = checkInteger('byte', byte, 0, 255);
    this.bytes = undefined;
    this.finder = finderOf(new Uint8Array(0));
  }

  /**
   * The first index in `[begin, end)` that holds the byte, or -1. Reads nothing outside of that
   * range.
   */
  find(bytes: Bytes, begin: number, end: number): number {
    if (!(begin < end)) return -1;
    if (bytes !== this.bytes) {
      this.finder = finderOf(bytes);
      this.bytes = bytes;
    }
    const finder = this.finder;
    if (!(begin >= 0 && end <= finder.byteLength)) checkRange(begin, end, finder.byteLength);
    return finder.find(this.byte, begin, end);
  }
}

function finderOf(bytes: Bytes): Finder {
  const arena = arenaOf(bytes);
  if (arena !== undefined) return arena;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const find = (byte: number, begin: number, end: number): number =>
    findByte(bytes, view, begin, end, byte);
  return { byteLength: lengthOf(bytes), find };
}
