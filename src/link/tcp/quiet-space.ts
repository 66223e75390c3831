// SPDX-License-Identifier: MIT
/** The memory that the kernel's next read of each quiet link goes to, shared by all of a thread. */

/** Reads up to this size are copied: the copy costs less than the system call. */
export const SMALL_READ_BYTES_MAX = 4096;

/** One read is delivered before the next: so one memory serves all links. */
const shared = new Uint8Array(SMALL_READ_BYTES_MAX + 1);

/** The largest meaningful value of `directReadBytes`. */
export const DIRECT_READ_BYTES_MAX: number = SMALL_READ_BYTES_MAX;

/** The default of `directReadBytes`. */
export function directReadBytesDefault(bufferSize: number): number {
  return Math.min(SMALL_READ_BYTES_MAX, bufferSize >>> 2);
}

/** The part of the memory for links with this `directReadBytes`; 0: all of it. */
export function quietSpace(directReadBytes: number): Uint8Array {
  // One byte more, so that a read whose size is exactly a power of two does not fill it.
  return directReadBytes === 0 ? shared : shared.subarray(0, directReadBytes + 1);
}
