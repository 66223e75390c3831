// SPDX-License-Identifier: MIT
/** Model checker: the replacement of SharedArrayBuffer. */

import type { SharedAccess } from './accesses.ts';
import { grows, growTo, sizeOf } from './growth.ts';
import type { Machine } from './machine.ts';
import type { Region } from './memory.ts';
import type { Replace } from './model-clock.ts';
import { rangeOf } from './view-methods.ts';
import { bulkOf } from './views.ts';

const RealSharedArrayBuffer = SharedArrayBuffer;
const RealUint8Array = Uint8Array;
const { prototype } = RealSharedArrayBuffer;
const realGrow = prototype.grow;
const realSlice = prototype.slice;
const realByteLength = Object.getOwnPropertyDescriptor(prototype, 'byteLength')?.get as (
  this: unknown,
) => number;

/** `owned`: receives the memory that a thread creates for itself. */
export function replaceSharedBlocks(
  machine: Machine,
  access: SharedAccess,
  owned: WeakSet<object>,
  replace: Replace,
): void {
  const { memory } = machine;
  /** Memory cannot be handed to others on the heap: what a thread makes itself stays its own. */
  const isSetup = (): boolean => machine.direct && machine.threads.length === 0;
  const note = (block: SharedArrayBuffer): SharedArrayBuffer => {
    if (!isSetup()) {
      owned.add(block);
      return block;
    }
    const size = realByteLength.call(block);
    if (!block.growable) memory.addRegion(block, size);
    else {
      const { maxByteLength } = block;
      realGrow.call(block, maxByteLength);
      memory.addRegion(block, maxByteLength, size);
    }
    return block;
  };
  replace(
    globalThis,
    'SharedArrayBuffer',
    new Proxy(RealSharedArrayBuffer, {
      construct: (target, args, newTarget) =>
        note(Reflect.construct(target, args, newTarget) as SharedArrayBuffer),
    }),
  );
  const growing = (block: object): Region | undefined => {
    const region = memory.regionOf(block);
    return region !== undefined && grows(region) ? region : undefined;
  };
  replace(prototype, 'grow', function (this: SharedArrayBuffer, length?: number): void {
    const region = growing(this);
    if (region === undefined) realGrow.call(this, length);
    else growTo(access, region, length);
  });
  replace(prototype, 'slice', function (this: SharedArrayBuffer, begin?: number, end?: number) {
    const region = memory.regionOf(this);
    if (region === undefined) return note(realSlice.call(this, begin, end));
    access.call();
    const size = grows(region) ? sizeOf(access, region) : region.byteLength;
    const [from, to] = rangeOf({ length: size }, begin, end);
    const copy = note(new RealSharedArrayBuffer(Math.max(0, to - from)));
    const target = memory.regionOf(copy);
    const bytes = new RealUint8Array(target === undefined ? copy : new ArrayBuffer(to - from));
    bulkOf({ access, memory, region, begin: from }).load(0, bytes.length, bytes);
    if (target !== undefined) access.bytes.store(target, 0, bytes, 0, bytes.length);
    return copy;
  });
  const byteLength = function (this: object): number {
    const region = growing(this);
    return region === undefined ? realByteLength.call(this) : sizeOf(access, region);
  };
  replace(prototype, 'byteLength', byteLength, true);
}
