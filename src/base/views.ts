// SPDX-License-Identifier: MIT
/**
 * Reads what a typed array is, whatever its class, a getter or a Proxy claims.
 *
 * `instanceof` checks the prototype and `length` may be overridden: both can be wrong. The engine's
 * own getters read the object's internal slots, which a Proxy of a typed array does not have.
 */

import { isAtomicView } from './atomics.ts';
import { ensureStack } from './stack.ts';

/** Any bytes, on shared or private memory. */
export type Bytes = Uint8Array<ArrayBufferLike>;

const TYPED_ARRAY: object = Object.getPrototypeOf(Uint8Array.prototype);
const tagOf = getterOf(TYPED_ARRAY, Symbol.toStringTag);
const countOf = getterOf(TYPED_ARRAY, 'length');
const bufferOf = getterOf(TYPED_ARRAY, 'buffer');
const offsetOf = getterOf(TYPED_ARRAY, 'byteOffset');
const sizeOfShared = getterOf(SharedArrayBuffer.prototype, 'byteLength');
const growableOf = getterOf(SharedArrayBuffer.prototype, 'growable');

function getterOf(prototype: object, key: string | symbol): (this: unknown) => unknown {
  return Object.getOwnPropertyDescriptor(prototype, key)?.get ?? (() => undefined);
}

/** True for a Uint8Array or a subclass such as Buffer. **Cost** as much as `instanceof`. */
export function isBytes(value: unknown): value is Bytes {
  return tagOf.call(value) === 'Uint8Array';
}

/** True for an Int32Array. **Cost** as much as `instanceof`. */
export function isWords(value: unknown): value is Int32Array<ArrayBufferLike> {
  return tagOf.call(value) === 'Int32Array' || isModelWords(value);
}

/** The model checker's views are Proxies: no Atomics takes one but the checker's own. */
function isModelWords(value: unknown): boolean {
  if (tagOf.call(value) !== undefined || !(value instanceof Int32Array)) return false;
  ensureStack();
  return isAtomicView(value);
}

/** The number of elements that a typed array has now; 0 if its memory was detached. */
export function lengthOf(view: Bytes | Int32Array<ArrayBufferLike>): number {
  return countOf.call(view) as number;
}

/**
 * The bytes `[begin, end)` of a Uint8Array, which must have that many. Unlike `subarray`, it cannot
 * be overridden to return a longer array.
 */
export function partOf(bytes: Bytes, begin: number, end: number): Bytes {
  const from = (offsetOf.call(bytes) as number) + begin;
  return new Uint8Array(bufferOf.call(bytes) as ArrayBuffer, from, end - begin);
}

/** A copy of the bytes: a plain Uint8Array with memory of its own. */
export function copyOf(bytes: Bytes): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

/** The words of a shared block; undefined if it is not shared, can grow, or ends within a word. */
export function wordsOf(block: unknown): Int32Array<SharedArrayBuffer> | undefined {
  try {
    const size = sizeOfShared.call(block) as number;
    if (size % Int32Array.BYTES_PER_ELEMENT !== 0 || growableOf.call(block) === true) return;
    return new Int32Array(block as SharedArrayBuffer);
  } catch (error) {
    // Anything else, a full stack say, is no fact about the block.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
