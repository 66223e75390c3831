// SPDX-License-Identifier: MIT
/** Text in shared memory: UTF-8 written in place, and read by way of a copy. */

import { copyForeign } from './bytes.ts';
import { type Bytes, partOf } from './views.ts';

/** The part of Node's Buffer that is used here: the core does not depend on Node. */
interface NodeBuffer {
  readonly prototype: { utf8Slice?: (this: Bytes, begin: number, end: number) => string };
  byteLength(text: string): number;
}

const node = (globalThis as { readonly Buffer?: NodeBuffer }).Buffer;
const encoder = new TextEncoder();
/** Browsers refuse to encode into shared memory. */
const encodesShared = canEncode(new Uint8Array(new SharedArrayBuffer(1)));
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Up to this many characters a loop is faster than the engine's function. */
const LOOP_CHARS_MAX = 32;

/** How many bytes a string takes in UTF-8. */
export function textBytes(text: string): number {
  if (node !== undefined) return node.byteLength(text);
  let count = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) count += unit >= 0x800 ? 2 : 1;
    // Two surrogates are four bytes, one alone becomes U+FFFD.
    if ((unit & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      count--;
      i++;
    }
  }
  return count;
}

/**
 * Writes a string of `length` bytes to `bytes` at offset `at`.
 *
 * **Cost** one pass over the text; a longer one takes a view of the bytes.
 */
export function writeText(bytes: Bytes, at: number, text: string, length: number): void {
  if (length === text.length && length <= LOOP_CHARS_MAX) {
    for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
    return;
  }
  if (encodesShared) encoder.encodeInto(text, partOf(bytes, at, at + length));
  else copyForeign(bytes, at, encoder.encode(text), 0, length);
}

function canEncode(bytes: Bytes): boolean {
  try {
    encoder.encodeInto('', bytes);
    return true;
  } catch {
    return false;
  }
}

/** Texts of up to this many bytes are decoded by Buffer, which needs no new objects. */
const SCRATCH_BYTES = 4096;
let scratch: Uint8Array<ArrayBuffer> | undefined;

/**
 * The text of UTF-8 bytes `[begin, end)`. Malformed bytes become U+FFFD.
 *
 * The bytes are copied first. An engine reads them twice, to measure and to decode: if another
 * thread changes them in between, V8 writes beyond the string, and the process ends (Node 20).
 */
export function readText(bytes: Bytes, begin: number, end: number): string {
  const count = end - begin;
  const utf8Slice = node?.prototype.utf8Slice;
  if (utf8Slice === undefined || count > SCRATCH_BYTES) {
    return decoder.decode(bytes.slice(begin, end));
  }
  scratch ??= new Uint8Array(SCRATCH_BYTES);
  copyForeign(scratch, 0, bytes, begin, end);
  return utf8Slice.call(scratch, 0, count);
}
