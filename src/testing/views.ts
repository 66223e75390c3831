// SPDX-License-Identifier: MIT
/**
 * Model checker: typed arrays on shared memory whose every element access goes to the machine.
 *
 * They are proxies around real (and unused) typed arrays, so `instanceof` and `buffer` answer as
 * always. Only what a proxy cannot imitate is missing: built-ins that look for a typed array's
 * inside (`TextDecoder`, `Buffer.from`) do not take them.
 */

import type { SharedAccess } from './accesses.ts';
import type { ModelMemory, Region } from './memory.ts';

const RealInt32Array = Int32Array;
const RealUint8Array = Uint8Array;
const RealDataView = DataView;

const wordViews = new WeakMap<object, WordView>();
const sharedViews = new WeakSet<object>();
let lastProxy: object | undefined;
let lastView: WordView | undefined;

/** The view behind an Int32Array on the model's memory; undefined for an ordinary one. */
export function wordViewOf(words: object): WordView | undefined {
  if (words === lastProxy) return lastView;
  const view = wordViews.get(words);
  if (view === undefined) return undefined;
  lastProxy = words;
  lastView = view;
  return view;
}

/** True for views on the model's memory. */
export function isSharedView(value: unknown): boolean {
  return typeof value === 'object' && value !== null && sharedViews.has(value);
}

/** Index of an element, or −1 for another property. */
function elementIndex(key: string): number {
  const first = key.charCodeAt(0);
  return first >= 48 && first <= 57 ? Number(key) : -1;
}

/** Handler of an Int32Array. */
export class WordView implements ProxyHandler<Int32Array> {
  readonly #access: SharedAccess;
  readonly #memory: ModelMemory;
  readonly #region: Region;
  readonly #firstWord: number;
  readonly length: number;

  constructor(
    access: SharedAccess,
    memory: ModelMemory,
    region: Region,
    firstWord: number,
    length: number,
  ) {
    this.#access = access;
    this.#memory = memory;
    this.#region = region;
    this.#firstWord = firstWord;
    this.length = length;
  }

  /** Heap index of an element. */
  cell(index: number): number {
    if (!Number.isInteger(index)) return this.cell(Math.trunc(Number(index)) || 0);
    if (!(index >= 0 && index < this.length))
      throw new RangeError(`no element ${index} in shared words`);
    return this.#region.firstCell + (this.#firstWord + index) * this.#memory.cellWords;
  }

  get(target: Int32Array, key: string | symbol): unknown {
    if (typeof key !== 'string') {
      return key === Symbol.iterator
        ? () => this.#slice(0, this.length).values()
        : Reflect.get(target, key);
    }
    const index = elementIndex(key);
    if (index >= 0) {
      return index < this.length ? this.#access.plainLoad(this.cell(index)) : undefined;
    }
    switch (key) {
      case 'fill':
        return (value: number, begin = 0, end = this.length) =>
          this.#storeAll(begin, new RealInt32Array(Math.max(0, end - begin)).fill(value));
      case 'set':
        return (source: ArrayLike<number>, offset = 0) => this.#storeAll(offset, source);
      case 'copyWithin':
        return (to: number, begin: number, end = this.length) =>
          this.#storeAll(to, this.#slice(begin, end));
      case 'slice':
        return (begin = 0, end = this.length) => this.#slice(begin, end);
      case 'subarray':
        return (begin = 0, end = this.length) => {
          this.#access.call();
          const at = (this.#firstWord + begin) * 4;
          return makeWords(this.#access, this.#memory, this.#region, at, end - begin);
        };
      default:
        return plainProperty(this.#access, target, key);
    }
  }

  set(target: Int32Array, key: string | symbol, value: number): boolean {
    const index = typeof key === 'string' ? elementIndex(key) : -1;
    if (index < 0) return Reflect.set(target, key, value);
    if (index < this.length) this.#access.plainStore(this.cell(index), value);
    return true;
  }

  #storeAll(begin: number, source: ArrayLike<number>): void {
    this.#access.call();
    for (let i = 0; i < source.length; i++) {
      this.#access.plainStore(this.cell(begin + i), source[i]);
    }
  }

  #slice(begin: number, end: number): Int32Array<ArrayBuffer> {
    this.#access.call();
    const copy = new RealInt32Array(Math.max(0, end - begin));
    for (let i = begin; i < end; i++) copy[i - begin] = this.#access.plainLoad(this.cell(i));
    return copy;
  }
}

/** Handler of a Uint8Array. */
class ByteView implements ProxyHandler<Uint8Array> {
  readonly #access: SharedAccess;
  readonly #memory: ModelMemory;
  readonly #region: Region;
  readonly #begin: number;
  readonly #length: number;

  constructor(
    access: SharedAccess,
    memory: ModelMemory,
    region: Region,
    begin: number,
    length: number,
  ) {
    this.#access = access;
    this.#memory = memory;
    this.#region = region;
    this.#begin = begin;
    this.#length = length;
  }

  get(target: Uint8Array, key: string | symbol): unknown {
    const length = this.#length;
    if (typeof key !== 'string') {
      return key === Symbol.iterator
        ? () => this.#slice(0, length).values()
        : Reflect.get(target, key);
    }
    const index = elementIndex(key);
    if (index >= 0) {
      if (index >= length) return undefined;
      return this.#access.loadBytes(this.#region, this.#begin + index, 1);
    }
    switch (key) {
      case 'fill':
        return (value: number, begin = 0, end = length) => {
          this.#access.call();
          const bytes = new RealUint8Array(end - begin).fill(value);
          this.#access.storeBytes(this.#region, this.#begin + begin, bytes, 0, end - begin);
        };
      case 'set':
        return (source: ArrayLike<number>, offset = 0) => {
          this.#access.call();
          if (offset + source.length > length) throw new RangeError('offset is out of bounds');
          this.#access.storeBytes(this.#region, this.#begin + offset, source, 0, source.length);
        };
      case 'copyWithin':
        return (to: number, begin: number, end = length) => {
          this.#access.call();
          const bytes = this.#slice(begin, end);
          this.#access.storeBytes(this.#region, this.#begin + to, bytes, 0, bytes.length);
        };
      case 'slice':
        return (begin = 0, end = length) => this.#slice(begin, end);
      case 'subarray':
        return (begin = 0, end = length) => {
          this.#access.call();
          const at = this.#begin + begin;
          return makeBytes(this.#access, this.#memory, this.#region, at, end - begin);
        };
      default:
        return plainProperty(this.#access, target, key);
    }
  }

  set(target: Uint8Array, key: string | symbol, value: number): boolean {
    const index = typeof key === 'string' ? elementIndex(key) : -1;
    if (index < 0) return Reflect.set(target, key, value);
    if (index < this.#length) {
      this.#access.storeBytes(this.#region, this.#begin + index, [value & 0xff], 0, 1);
    }
    return true;
  }

  #slice(begin: number, end: number): Uint8Array<ArrayBuffer> {
    this.#access.call();
    const copy = new RealUint8Array(Math.max(0, end - begin));
    for (let i = begin; i < end; i += 4) {
      const count = Math.min(4, end - i);
      const bytes = this.#access.loadBytes(this.#region, this.#begin + i, count);
      for (let j = 0; j < count; j++) copy[i - begin + j] = bytes >>> (8 * j);
    }
    return copy;
  }
}

/** Handler of a DataView: its accessors move up to eight bytes through a private view. */
class DataViewHandler implements ProxyHandler<DataView> {
  readonly #access: SharedAccess;
  readonly #region: Region;
  readonly #begin: number;
  readonly #scratch = new RealDataView(new ArrayBuffer(8));
  readonly #scratchBytes = new RealUint8Array(this.#scratch.buffer);

  constructor(access: SharedAccess, region: Region, begin: number) {
    this.#access = access;
    this.#region = region;
    this.#begin = begin;
  }

  get(target: DataView, key: string | symbol): unknown {
    const match = typeof key === 'string' ? /^(get|set)(?:\w*?)(8|16|32|64)$/.exec(key) : null;
    if (match === null) return plainProperty(this.#access, target, key);
    const size = Number(match[2]) / 8;
    const method = target[key as 'getUint8' | 'setUint8'] as (...args: unknown[]) => unknown;
    if (match[1] === 'get') {
      return (offset: number, littleEndian?: boolean) => {
        this.#access.call();
        for (let i = 0; i < size; i += 4) {
          const count = Math.min(4, size - i);
          const bytes = this.#access.loadBytes(this.#region, this.#begin + offset + i, count);
          for (let j = 0; j < count; j++) this.#scratchBytes[i + j] = bytes >>> (8 * j);
        }
        return method.call(this.#scratch, 0, littleEndian);
      };
    }
    return (offset: number, value: number | bigint, littleEndian?: boolean) => {
      this.#access.call();
      method.call(this.#scratch, 0, value, littleEndian);
      this.#access.storeBytes(this.#region, this.#begin + offset, this.#scratchBytes, 0, size);
    };
  }
}

/**
 * Length, offsets and the like; a method would look for the inside of a real typed array, so it is
 * refused.
 */
function plainProperty(
  access: SharedAccess,
  target: Int32Array | Uint8Array | DataView,
  key: string | symbol,
): unknown {
  const value: unknown = Reflect.get(target, key, target);
  if (typeof value === 'function' && key !== 'constructor' && !Object.hasOwn(target, key)) {
    access.complain(`the model checker's shared views have no ${String(key)}`);
  }
  return value;
}

export function makeWords(
  access: SharedAccess,
  memory: ModelMemory,
  region: Region,
  byteOffset = 0,
  length: number = (region.byteLength - byteOffset) / 4,
): Int32Array {
  const target = new RealInt32Array(region.block, byteOffset, length);
  const view = new WordView(access, memory, region, byteOffset / 4, length);
  const proxy = new Proxy(target, view);
  wordViews.set(proxy, view);
  sharedViews.add(proxy);
  return proxy;
}

export function makeBytes(
  access: SharedAccess,
  memory: ModelMemory,
  region: Region,
  byteOffset = 0,
  length: number = region.byteLength - byteOffset,
): Uint8Array {
  const target = new RealUint8Array(region.block, byteOffset, length);
  const proxy = new Proxy(target, new ByteView(access, memory, region, byteOffset, length));
  sharedViews.add(proxy);
  return proxy;
}

export function makeDataView(
  access: SharedAccess,
  region: Region,
  byteOffset = 0,
  length: number = region.byteLength - byteOffset,
): DataView {
  const target = new RealDataView(region.block, byteOffset, length);
  const proxy = new Proxy(target, new DataViewHandler(access, region, byteOffset));
  sharedViews.add(proxy);
  return proxy;
}
