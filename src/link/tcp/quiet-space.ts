// SPDX-License-Identifier: MIT
/** Memory for the next read of every quiet link of a thread. */

/** Reads up to this size are copied: the copy costs less than the system call. */
export const SMALL_READ_BYTES_MAX = 4096;

/** One block for all links: a read is delivered before the next one. */
const shared = new Uint8Array(SMALL_READ_BYTES_MAX + 1);

/** The largest meaningful value of `directReadBytes`. */
export const DIRECT_READ_BYTES_MAX: number = SMALL_READ_BYTES_MAX;

/** The default of `directReadBytes`. */
export function directReadBytesDefault(bufferSize: number): number {
  return Math.min(SMALL_READ_BYTES_MAX, bufferSize >>> 2);
}

/** The part of the block for links with this `directReadBytes`; 0: all of it. */
export function quietSpace(directReadBytes: number): Uint8Array {
  // One byte more, so that a read whose size is exactly a power of two does not fill it.
  return directReadBytes === 0 ? shared : shared.subarray(0, directReadBytes + 1);
}
