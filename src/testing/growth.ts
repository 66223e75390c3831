// SPDX-License-Identifier: MIT
/**
 * Model checker: the length of shared memory that grows.
 *
 * The engine's block has all the bytes that it may ever have, and says only who it is. How many are
 * there is a word of the model. `grow` is one read-modify-write of it, `byteLength` of a block or
 * view reads it in order, and the bounds check of a view without a length of its own reads it
 * plainly: as the specification says, that orders nothing.
 */

import type { SharedAccess } from './accesses.ts';
import { OP_GROW, OP_LOAD } from './machine-layout.ts';
import type { Region } from './memory.ts';

const RealSharedArrayBuffer = SharedArrayBuffer;
const realGrow = SharedArrayBuffer.prototype.grow;

/** Blocks of {@link blockOfSize}, by size. */
const blocks = new Map<number, SharedArrayBuffer>();
const BLOCKS_MAX = 64;

/** True if the region's memory may grow. */
export function grows(region: Region): boolean {
  return region.lengthCell >= 0;
}

/** The bytes that a growable region has, as `byteLength` reads them. */
export function sizeOf(access: SharedAccess, region: Region): number {
  return access.atomic(OP_LOAD, region.lengthCell, 0, 0);
}

/** True if a growable region has the bytes before `end`, as a bounds check reads its length. */
export function reaches(access: SharedAccess, region: Region, end: number): boolean {
  return access.plainLoad(region.lengthCell) >= end;
}

/** An engine's block as large as a growable region is now, on which the engine checks arguments. */
export function blockOfSize(access: SharedAccess, region: Region): SharedArrayBuffer {
  const bytes = sizeOf(access, region);
  let block = blocks.get(bytes);
  if (block === undefined) {
    if (blocks.size === BLOCKS_MAX) blocks.clear();
    block = new RealSharedArrayBuffer(bytes, { maxByteLength: bytes });
    blocks.set(bytes, block);
  }
  return block;
}

/** `block.grow(length)`. **Throws** RangeError as the engine does. */
export function growTo(access: SharedAccess, region: Region, length: unknown): void {
  const bytes = Math.trunc(Number(length)) || 0;
  const fits = bytes >= 0 && bytes <= region.byteLength;
  const before = access.atomic(fits ? OP_GROW : OP_LOAD, region.lengthCell, bytes, 0);
  // The engine refuses it with its own error.
  if (!fits || bytes < before) realGrow.call(blockOfSize(access, region), -1);
}
