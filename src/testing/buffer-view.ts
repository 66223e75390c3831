// SPDX-License-Identifier: MIT
/** Model checker: a Buffer on shared memory. Its methods work on private copies of the bytes. */

import type { SharedAccess } from './accesses.ts';
import { blockOfSize, grows } from './growth.ts';
import type { ModelMemory, Region } from './memory.ts';
import type { Place, TypedArray, TypedArrayClass } from './view-elements.ts';
import { copyOf, rangeOf } from './view-methods.ts';
import { ArrayView, arrayViewOf } from './views.ts';

const RealBuffer = Buffer;
const RealUint8Array = Uint8Array as unknown as TypedArrayClass;
const from = Buffer.from as (block: unknown, offset?: number, length?: number) => Buffer;

/** Whether a Buffer without a length grows with its memory: from Node 22 on. */
const TRACKS = ((): boolean => {
  const block = new SharedArrayBuffer(1, { maxByteLength: 2 });
  const buffer = from(block);
  block.grow(2);
  return buffer.length === 2;
})();
/** Methods that read or write one number. `Int` and `UInt` alone take the number of bytes. */
const NUMBER = /^(read|write)(?:(?:Big)?U?[Ii]nt(8|16|32|64)?|(Float)|(Double))(?:LE|BE)?$/;
/** Methods that read all bytes, and change none. */
const READERS: ReadonlySet<string> = new Set([
  'compare',
  'equals',
  'includes',
  'indexOf',
  'lastIndexOf',
  'toJSON',
]);
/** Methods that change all bytes. */
const SWAPS: ReadonlySet<string> = new Set(['swap16', 'swap32', 'swap64']);

type Call = (...args: unknown[]) => unknown;

/** Handler of a Buffer. */
class BufferView extends ArrayView {
  override property(target: TypedArray, key: string | symbol): unknown {
    const method = typeof key === 'string' ? this.#method(target, key) : undefined;
    if (method === undefined) return super.property(target, key);
    return (...args: unknown[]) => {
      this.place.access.call();
      return method(...args);
    };
  }

  override part(begin: number, end: number = this.length): TypedArray {
    const { access, memory, region } = this.place;
    const at = this.place.begin + begin;
    return makeBuffer(access, memory, region, at, Math.max(0, end - begin)) as TypedArray;
  }

  #method(target: TypedArray, key: string): Call | undefined {
    const number = NUMBER.exec(key);
    if (number !== null && key in target) {
      const size = number[3] ? 4 : number[4] ? 8 : Number(number[2] ?? 0) / 8;
      return number[1] === 'read' ? this.#reads(key, size) : this.#writes(key, size);
    }
    if (READERS.has(key)) {
      return (...args) => this.#call(this.#copy(), key, args.map(privateOf));
    }
    if (SWAPS.has(key)) {
      return () => this.#putBack(0, this.#call(this.#copy(), key, []) as Buffer);
    }
    switch (key) {
      case 'slice':
        return (begin, end) => this.part(...rangeOf(this, begin, end));
      case 'toString':
        return (encoding, begin, end) =>
          this.#copy(...rangeOf(this, begin, end)).toString(encoding as BufferEncoding);
      case 'copy':
        return (...args) => this.#copyTo(...(args as [Uint8Array, number, number, number]));
      case 'fill':
        return (value, begin, end, encoding) => {
          if (typeof begin === 'string') return this.#fill(value, 0, this.length, begin);
          const isText = typeof end === 'string';
          const until = isText || end === undefined ? this.length : (end as number);
          return this.#fill(value, (begin as number) ?? 0, until, isText ? end : encoding);
        };
      case 'write':
        return (...args) => this.#write(args);
      default:
        return undefined;
    }
  }

  #reads(key: string, size: number): Call {
    return (...args) => {
      this.#check(key, args);
      const [offset = 0, byteLength] = args as [number, number];
      const bytes = this.#copy(offset, offset + (size === 0 ? byteLength : size));
      return this.#call(bytes, key, [0, byteLength]);
    };
  }

  #writes(key: string, size: number): Call {
    return (...args) => {
      this.#check(key, args);
      const [value, offset = 0, byteLength] = args as [unknown, number, number];
      const bytes = RealBuffer.alloc(size === 0 ? byteLength : size);
      this.#call(bytes, key, [value, 0, byteLength]);
      this.#putBack(offset, bytes);
      return offset + bytes.length;
    };
  }

  /** Throws as the engine does if offset or value do not fit. */
  #check(key: string, args: unknown[]): void {
    this.#call(RealBuffer.alloc(this.length), key, args);
  }

  #call(buffer: Buffer, key: string, args: unknown[]): unknown {
    return (buffer as unknown as Record<string, Call>)[key](...args);
  }

  #copy(begin = 0, end: number = this.length): Buffer {
    const bytes = copyOf(this, begin, Math.max(begin, end));
    return from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #putBack(begin: number, bytes: Buffer): TypedArray {
    this.bulk?.store(begin, bytes);
    return this.proxy;
  }

  #copyTo(target: Uint8Array, at = 0, begin = 0, end: number = this.length): number {
    const count = Math.min(end, this.length) - begin;
    // Throws as the engine does if an offset does not fit.
    RealBuffer.alloc(this.length).copy(RealBuffer.alloc(target.length), at, begin, end);
    const fits = Math.max(0, Math.min(count, target.length - at));
    if (fits > 0) target.set(this.#copy(begin, begin + fits), at);
    return fits;
  }

  #fill(value: unknown, begin: number, end: number, encoding: unknown): TypedArray {
    // Throws as the engine does if the range does not fit.
    this.#call(RealBuffer.alloc(this.length), 'fill', [value, begin, end, encoding]);
    const bytes = RealBuffer.alloc(Math.max(0, end - begin));
    this.#call(bytes, 'fill', [privateOf(value), 0, bytes.length, encoding]);
    return this.#putBack(begin, bytes);
  }

  #write(args: unknown[]): number {
    const whole = RealBuffer.alloc(this.length);
    const count = this.#call(whole, 'write', args) as number;
    const begin = typeof args[1] === 'number' ? args[1] : 0;
    this.#putBack(begin, whole.subarray(begin, begin + count));
    return count;
  }
}

/** A private copy of a shared view, for the engine's Buffer. */
function privateOf(value: unknown): unknown {
  const view = typeof value === 'object' && value !== null ? arrayViewOf(value) : undefined;
  if (view === undefined) return value;
  const bytes = copyOf(view, 0, view.length);
  return from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Creates a Buffer on the model's memory. **Throws** as the engine does if it does not fit. */
export function makeBuffer(
  access: SharedAccess,
  memory: ModelMemory,
  region: Region,
  byteOffset?: number,
  length?: number,
): Buffer {
  const isGrowing = grows(region);
  const whole = isGrowing ? blockOfSize(access, region) : region.block;
  const checked = from(whole, byteOffset, length);
  const { byteOffset: begin, length: least } = checked;
  const tracks = isGrowing && length === undefined && TRACKS;
  const bytes = isGrowing
    ? new Uint8Array(region.block, begin, tracks ? undefined : least)
    : checked;
  const target = Object.setPrototypeOf(bytes, RealBuffer.prototype) as TypedArray;
  const place: Place = { access, memory, region, begin };
  const made = { target, least, tracks };
  return new BufferView(RealUint8Array, place, made).proxy as Buffer;
}
