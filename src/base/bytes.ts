// SPDX-License-Identifier: MIT
/**
 * Copying bytes between memories, the fastest way that the engine has.
 *
 * Measured, ns for a copy from private into shared memory (AMD EPYC, 2026-11):
 *
 *   bytes  way                          Node 20   22   24   26
 *   16     byte loop                         13   13   13   10
 *          `set`                             13   12   10   10
 *          words of a view that is kept       3    3    3    4
 *   60     `set`                             24   20   23   19
 *          Buffer.copy                       55   40   33   27
 *          words of a view that is kept      13   14   13   11
 *   128    `set`                             44   42   41   25
 *          Buffer.copy                       70   40   33   27
 *          words of a view that is kept      28   27   18   15
 *   1024   `set`                            239  255  238  119
 *          Buffer.copy                      278   45   38   33
 *          words of a view that is kept     209  194  119   94
 *
 * Buffer.copy is a memmove since Node 22.7 if it does not begin with the source's first byte. On
 * Bun `set` is one; a new view costs 75 to 145 ns everywhere. `npm run bench -- --only 'copy/*'`
 * measures what this file does.
 */

import { type Bytes, isBytes, lengthOf, partOf } from './views.ts';

/** Up to this many bytes a loop is faster than a call into the engine's copy. */
const LOOP_BYTES_MAX = 16;

type NativeCopy = (this: Bytes, target: Bytes, at: number, begin: number, end: number) => unknown;

interface NodeBuffer {
  readonly prototype: Bytes & {
    copy: NativeCopy;
  };
}

const node = globalThis as {
  process?: { versions?: Record<string, string | undefined> };
  Buffer?: NodeBuffer;
};
const nativeCopy: NativeCopy | undefined = isNode(22, 7) ? node.Buffer?.prototype.copy : undefined;
/** From this many bytes on the native copy is used if there is one. */
const NATIVE_BYTES_MIN = nativeCopy === undefined ? Infinity : 128;
/** Up to this many bytes of a source that repeats are moved as words of a view that is kept. */
export const KEPT_BYTES_MAX: number = nativeCopy === undefined ? 1024 : 192;

/** What properties do not tell: the runtime is Node, of this version or later. */
function isNode(majorMin: number, minorMin: number): boolean {
  const { node: version = '', bun, deno } = node.process?.versions ?? {};
  if (bun !== undefined || deno !== undefined) return false;
  const [major, minor] = version.split('.').map(Number);
  return major > majorMin || (major === majorMin && minor >= minorMin);
}

/**
 * Copies `source[begin, end)` to `target` at `targetOffset`. The ranges must not overlap.
 *
 * Writes nothing outside its range of `target`, whatever a class or a property of the source
 * claims about its length or parts. **Throws** RangeError if the source is shorter than it says.
 *
 * **Cost** one pass over the bytes; a view is allocated only when a part of a longer source is
 * copied.
 */
export function copyForeign(
  target: Bytes,
  targetOffset: number,
  source: Bytes,
  begin: number,
  end: number,
): void {
  const count = end - begin;
  if (count <= LOOP_BYTES_MAX) {
    for (let i = 0; i < count; i++) target[targetOffset + i] = source[begin + i];
    return;
  }
  copyMany(target, targetOffset, source, begin, end);
}

/** A function of its own, so that callers can inline the loop above. */
function copyMany(
  target: Bytes,
  targetOffset: number,
  source: Bytes,
  begin: number,
  end: number,
): void {
  const length = lengthOf(source);
  if (!(end <= length)) throw new RangeError(`end must be at most ${length}, got ${end}`);
  const count = end - begin;
  if (count >= NATIVE_BYTES_MIN && isOrdinary(source) && isOrdinary(target)) {
    // Read before and written after the rest: then the two ranges may overlap.
    const first = source[begin];
    nativeCopy?.call(source, target, targetOffset + 1, begin + 1, end);
    target[targetOffset] = first;
  } else if (count === length) {
    target.set(source, targetOffset);
  } else {
    target.set(partOf(source, begin, end), targetOffset);
  }
}

/** True if the engine's copy can believe what `byteLength` says. */
function isOrdinary(bytes: Bytes): boolean {
  const prototype: unknown = Object.getPrototypeOf(bytes);
  if (prototype !== Uint8Array.prototype && prototype !== node.Buffer?.prototype) return false;
  return !Object.hasOwn(bytes, 'byteLength');
}

/**
 * A view of the same bytes; undefined if their number may change, or they only claim to be a
 * Uint8Array.
 */
export function fixedViewOf(source: Bytes): DataView<ArrayBufferLike> | undefined {
  if (!isBytes(source)) return undefined;
  const all = partOf(source, 0, lengthOf(source));
  const block = all.buffer as { resizable?: boolean; growable?: boolean };
  if (block.resizable === true || block.growable === true) return undefined;
  return new DataView(all.buffer, all.byteOffset, all.byteLength);
}

/**
 * Moves `count` bytes as words. In the same memory the target may overlap the source if it begins
 * before it.
 *
 * **Throws** RangeError or TypeError if the source is shorter, or its memory is gone.
 */
export function moveWords(
  target: DataView<ArrayBufferLike>,
  to: number,
  source: DataView<ArrayBufferLike>,
  from: number,
  count: number,
): void {
  let i = 0;
  for (const end16 = count & ~15; i < end16; i += 16) {
    const a = source.getInt32(from + i, true);
    const b = source.getInt32(from + i + 4, true);
    const c = source.getInt32(from + i + 8, true);
    const d = source.getInt32(from + i + 12, true);
    target.setInt32(to + i, a, true);
    target.setInt32(to + i + 4, b, true);
    target.setInt32(to + i + 8, c, true);
    target.setInt32(to + i + 12, d, true);
  }
  for (const end4 = count & ~3; i < end4; i += 4) {
    target.setInt32(to + i, source.getInt32(from + i, true), true);
  }
  for (; i < count; i++) target.setInt8(to + i, source.getInt8(from + i));
}

/** As {@link moveWords}, for different memories: the last step overlaps the one before. */
export function copyNarrowWords(
  target: DataView<ArrayBufferLike>,
  to: number,
  source: DataView<ArrayBufferLike>,
  from: number,
  count: number,
): void {
  if (count < 16) {
    moveWords(target, to, source, from, count);
    return;
  }
  const last = from + count - 16;
  const shift = to - from;
  for (let at = from; ; ) {
    const a = source.getInt32(at, true);
    const b = source.getInt32(at + 4, true);
    const c = source.getInt32(at + 8, true);
    const d = source.getInt32(at + 12, true);
    const begin = at + shift;
    target.setInt32(begin, a, true);
    target.setInt32(begin + 4, b, true);
    target.setInt32(begin + 8, c, true);
    target.setInt32(begin + 12, d, true);
    if (at === last) return;
    at += 16;
    if (at > last) at = last;
  }
}

/** {@link copyNarrowWords} in half as many steps. Node 20 and 22 make an object of each word. */
export function copyWideWords(
  target: DataView<ArrayBufferLike>,
  to: number,
  source: DataView<ArrayBufferLike>,
  from: number,
  count: number,
): void {
  if (count < 16) {
    moveWords(target, to, source, from, count);
    return;
  }
  const last = from + count - 16;
  const shift = to - from;
  for (let at = from; ; ) {
    const begin = at + shift;
    target.setBigInt64(begin, source.getBigInt64(at, true), true);
    target.setBigInt64(begin + 8, source.getBigInt64(at + 8, true), true);
    if (at === last) return;
    at += 16;
    if (at > last) at = last;
  }
}

/** The faster one here. 60 bytes with {@link copyWideWords}: Node 24 14 → 11 ns, 20 15 → 80 ns. */
export const copyWords: typeof copyNarrowWords = isNode(24, 0) ? copyWideWords : copyNarrowWords;

const encoder = new TextEncoder();

/** The UTF-8 bytes of a string, in memory of their own. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}
