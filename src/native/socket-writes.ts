// SPDX-License-Identifier: MIT
/** Writes regions to many stream sockets in one call of the shim. */

import type { Feature } from './feature.ts';
import { loadShim, offered } from './shim.ts';

// enum bus_write of native/bus.h; test/native/headers.test.ts compares the numbers.

/** Words of a region: the socket's descriptor, the place of the bytes, and the result. */
export const WRITE_SOCKET = 0;
export const WRITE_OFFSET = 1;
export const WRITE_LENGTH = 2;
/** Bytes that the kernel took, or `-errno`. */
export const WRITE_RESULT = 3;
export const WRITE_WORDS = 4;

/**
 * Writes the first `count` regions of the table, as far as possible without waiting; neighbouring
 * regions of one socket take one system call. Returns the number of system calls, or `-EFAULT`.
 */
export type WriteSockets = (bytes: Uint8Array, table: Int32Array, count: number) => number;

/** Whether the call is available. */
export function socketWritesFeature(): Feature {
  if ('deno' in process.versions) return UNREACHABLE;
  return offered('writeSockets');
}

const UNREACHABLE: Feature = Object.freeze({
  available: false,
  reason: 'sockets of Deno have no descriptor',
});

/** The shim's call; undefined where `socketWritesFeature()` is unavailable. */
export function writeSocketsCall(): WriteSockets | undefined {
  return socketWritesFeature().available ? loadShim().shim?.writeSockets : undefined;
}
