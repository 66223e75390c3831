// SPDX-License-Identifier: MIT
/** Model checker: notices shared memory that it was not told of. */

import type { ModelMemory, Region } from './memory.ts';
import { isSharedView } from './views.ts';

const RealSharedArrayBuffer = SharedArrayBuffer;
const isView = ArrayBuffer.isView;

/** Objects that are looked through. */
const OBJECTS_MAX = 10_000;
/** Words of a block that are looked at. */
const WORDS_MAX = 1 << 20;

/** True if what setup has made leads to shared memory, or a view of it, that is not the model's. */
export function findUnseen(made: unknown, memory: ModelMemory): boolean {
  const seen = new Set<unknown>([made]);
  for (const value of seen) {
    if (typeof value !== 'object' || value === null || isSharedView(value)) continue;
    if (seen.size > OBJECTS_MAX) return false;
    if (value instanceof RealSharedArrayBuffer) {
      if (memory.regionOf(value) === undefined) return true;
    } else if (isView(value)) {
      if (value.buffer instanceof RealSharedArrayBuffer) return true;
    } else if (value instanceof Map || value instanceof Set) {
      for (const entry of value) seen.add(entry);
    } else {
      for (const key of Object.keys(value)) {
        const property = Object.getOwnPropertyDescriptor(value, key);
        if (property !== undefined && 'value' in property) seen.add(property.value);
      }
    }
  }
  return false;
}

/** True if somebody has written to the block itself, of which only the address is used. */
export function wasWritten(region: Region): boolean {
  const words = new Int32Array(region.block, 0, Math.min(region.byteLength >> 2, WORDS_MAX));
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return true;
  return false;
}
