// SPDX-License-Identifier: MIT
/** What arena.wat does, without WebAssembly. */

import { moveWords } from './bytes.ts';
import type { Bytes } from './views.ts';

/** What the module does; offsets and counts in bytes. Nothing checks them. */
export interface ArenaCode {
  copy(to: number, from: number, count: number): void;
  fill(at: number, count: number, byte: number): void;
  find(at: number, end: number, byte: number): number;
  equal(one: number, other: number, count: number): number;
  crc32c(at: number, end: number, crc: number, table: number): number;
  crcTables(table: number): void;
}

/** Beyond this many bytes the engine's own copy is faster than moving words through a DataView. */
const MOVE_BYTES_MAX = 2048;

const STEP_BYTES = 8;
const LOW_BITS = 0x01010101;
const HIGH_BITS = 0x80808080 | 0;

/** CRC-32C, reflected: Castagnoli's polynomial. */
const CRC_POLYNOMIAL = 0x82f63b78 | 0;
let crcTable: Int32Array<ArrayBuffer> | undefined;

/** The functions of arena.wat on some bytes and a view of the same, which need not be shared. */
export function plainCode(bytes: Bytes, view: DataView<ArrayBufferLike>): ArenaCode {
  return {
    copy(to, from, count) {
      const isAhead = to > from && to < from + count;
      if (isAhead || count > MOVE_BYTES_MAX) bytes.copyWithin(to, from, from + count);
      else moveWords(view, to, view, from, count);
    },
    fill(at, count, byte) {
      bytes.fill(byte, at, at + count);
    },
    find: (at, end, byte) => findByte(bytes, view, at, end, byte),
    equal(one, other, count) {
      for (let i = 0; i < count; i++) if (bytes[one + i] !== bytes[other + i]) return 0;
      return 1;
    },
    crc32c(at, end, crc) {
      crcTable ??= makeCrcTable();
      let rest = ~crc;
      for (let i = at; i < end; i++) rest = (rest >>> 8) ^ crcTable[(rest ^ bytes[i]) & 0xff];
      return ~rest;
    },
    crcTables() {},
  };
}

/**
 * The first index in `[begin, end)` that holds `byte`, or -1: eight bytes at a time.
 * `Uint8Array.indexOf` has no end, and a view to stop it is garbage.
 *
 * Source of the test for a zero byte in a word: Warren, "Hacker's Delight", 2nd edition, 6-1.
 */
export function findByte(
  bytes: Bytes,
  view: DataView<ArrayBufferLike>,
  begin: number,
  end: number,
  byte: number,
): number {
  let at = begin;
  if (end - begin >= STEP_BYTES) {
    const pattern = Math.imul(byte, LOW_BITS);
    const lowBits = LOW_BITS; // bundlers turn constants of a module into variables
    const highBits = HIGH_BITS;
    const last = end - STEP_BYTES;
    for (;;) {
      const low = view.getInt32(at, true) ^ pattern;
      const high = view.getInt32(at + 4, true) ^ pattern;
      // A byte that was zero has its high bit set here; above the first such byte there may be
      // false ones.
      const lowZeros = (low - lowBits) & ~low & highBits;
      const highZeros = (high - lowBits) & ~high & highBits;
      if ((lowZeros | highZeros) !== 0) {
        return lowZeros !== 0 ? at + firstByteOf(lowZeros) : at + 4 + firstByteOf(highZeros);
      }
      if (at === last) return -1;
      at += STEP_BYTES;
      if (at > last) at = last; // rather overlap the step before than go byte by byte
    }
  }
  for (; at < end; at++) if (bytes[at] === byte) return at;
  return -1;
}

/** Which byte of a little-endian word holds its lowest set bit. */
function firstByteOf(word: number): number {
  return (31 - Math.clz32(word & -word)) >> 3;
}

/** The CRC-32C of each byte. */
function makeCrcTable(): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? CRC_POLYNOMIAL : 0);
    return crc;
  });
}
