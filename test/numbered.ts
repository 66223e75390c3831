// SPDX-License-Identifier: MIT
/** Test tool: bytes with a number and a checksum. */

/** Number, check sum, and bytes that follow from the number. At least 8 bytes. */
export function numbered(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (let i = 8; i < length; i++) bytes[i] = (number * 31 + i * 7) & 0xff;
  view.setUint32(0, number);
  view.setUint32(4, checkOf(bytes, 0, length));
  return bytes;
}

/** The same behind its length in two bytes. */
export function framed(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(2 + length);
  bytes[0] = length >>> 8;
  bytes[1] = length;
  bytes.set(numbered(number, length), 2);
  return bytes;
}

/** The number of such bytes; −1 if a single one of them is not what it should be. */
export function numberOf(bytes: Uint8Array, offset: number, length: number): number {
  if (length < 8) return -1;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
  const number = view.getUint32(0);
  return view.getUint32(4) === checkOf(bytes, offset, length) ? number : -1;
}

/** 0, 1, 2 … `count` − 1. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

function checkOf(bytes: Uint8Array, offset: number, length: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
  let sum = Math.imul(length, 0x9e3779b1) ^ view.getUint32(0);
  for (let i = 8; i < length; i++) sum = (Math.imul(sum, 31) + view.getUint8(i)) | 0;
  return sum >>> 0;
}
