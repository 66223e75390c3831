// SPDX-License-Identifier: MIT
/** Writes regions to many stream sockets in one call of the shim. */

import type { Feature } from './feature.ts';
import { loadShim, offered } from './shim.ts';

// What native/bus.h calls enum bus_write; numbers and order are the same there.

/** Words of a region: the socket's descriptor, where it lies, and what came of it. */
export const WRITE_SOCKET = 0;
export const WRITE_OFFSET = 1;
export const WRITE_LENGTH = 2;
/** Bytes that the kernel took, or `-errno`. */
export const WRITE_RESULT = 3;
export const WRITE_WORDS = 4;

/**
 * Writes the first `count` regions of the table, as far as it goes without waiting; neighbours of
 * one socket by one system call. Answers how many system calls that were, or `-EFAULT`.
 */
export type WriteSockets = (bytes: Uint8Array, table: Int32Array, count: number) => number;

/** Whether there is such a call. */
export function socketWritesFeature(): Feature {
  return offered('writeSockets');
}

/** The shim's call; undefined if `socketWritesFeature()` says that there is none. */
export function writeSocketsCall(): WriteSockets | undefined {
  return loadShim().shim?.writeSockets;
}
