// SPDX-License-Identifier: MIT
/** Text in shared memory: UTF-8 written in place, and read without a copy where Node can. */

import { type Bytes, partOf } from './views.ts';

/** The part of Node's Buffer that is used here: the core does not depend on Node. */
interface NodeBuffer {
  from(memory: ArrayBufferLike): { toString(encoding: 'utf8', begin: number, end: number): string };
  byteLength(text: string): number;
}

const node = (globalThis as { readonly Buffer?: NodeBuffer }).Buffer;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Up to this many characters a loop is faster than the engine's function. */
const LOOP_CHARS_MAX = 32;

/** How many bytes a text takes in UTF-8. */
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
 * Writes a text of `length` bytes to `bytes` at offset `at`.
 *
 * **Cost** one pass over the text; a longer one takes a view of the bytes.
 */
export function writeText(bytes: Bytes, at: number, text: string, length: number): void {
  if (length === text.length && length <= LOOP_CHARS_MAX) {
    for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
    return;
  }
  encoder.encodeInto(text, partOf(bytes, at, at + length));
}

/** Reads texts of one memory. */
export class TextReader {
  readonly #bytes: Bytes;
  /** Made when it is first needed. */
  #buffer: ReturnType<NodeBuffer['from']> | undefined;

  /** `bytes` are all bytes of their memory. */
  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  /** The text of UTF-8 bytes `[begin, end)`. Malformed bytes become U+FFFD. */
  read(begin: number, end: number): string {
    this.#buffer ??= node?.from(this.#bytes.buffer);
    if (this.#buffer !== undefined) return this.#buffer.toString('utf8', begin, end);
    return decoder.decode(this.#bytes.slice(begin, end));
  }
}
