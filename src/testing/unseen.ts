// SPDX-License-Identifier: MIT
/** Model checker: detects shared memory that is outside of the model. */

import type { ModelMemory, Region } from './memory.ts';
import { isSharedView } from './views.ts';

const RealSharedArrayBuffer = SharedArrayBuffer;
const isView = ArrayBuffer.isView;

/** Most objects that are searched. */
const OBJECTS_MAX = 10_000;
/** Most words of a block that are checked. */
const WORDS_MAX = 1 << 20;

/** True if the result of setup refers to shared memory, or a view of it, outside of the model. */
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

/** True if the real block was written, of which the model uses only the identity. */
export function wasWritten(region: Region): boolean {
  const words = new Int32Array(region.block, 0, Math.min(region.byteLength >> 2, WORDS_MAX));
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return true;
  return false;
}
