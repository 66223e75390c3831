// SPDX-License-Identifier: MIT
/** Model checker: a DataView on shared memory. */

import type { SharedAccess } from './accesses.ts';
import { blockOfSize, grows, reaches, sizeOf } from './growth.ts';
import type { Region } from './memory.ts';
import { noteOtherView, plainProperty } from './views.ts';

const RealUint8Array = Uint8Array;
const RealDataView = DataView;
const ACCESSOR = /^(get|set)(?:\w*?)(8|16|32|64)$/;

/** Handler of a DataView: its accessors move up to eight bytes through a private view. */
class DataViewHandler implements ProxyHandler<DataView> {
  readonly #access: SharedAccess;
  readonly #region: Region;
  readonly #begin: number;
  readonly #scratch = new RealDataView(new ArrayBuffer(8));
  readonly #scratchBytes = new RealUint8Array(this.#scratch.buffer);

  readonly #tracks: boolean;
  /** Its bytes when it was made: the least that it has. */
  readonly #least: number;

  constructor(access: SharedAccess, region: Region, begin: number, tracks: boolean, least: number) {
    this.#tracks = tracks;
    this.#least = least;
    this.#access = access;
    this.#region = region;
    this.#begin = begin;
  }

  get(target: DataView, key: string | symbol): unknown {
    const method = Reflect.get(target, key, target) as unknown;
    const match = typeof key === 'string' ? ACCESSOR.exec(key) : null;
    if (match === null || typeof method !== 'function') {
      if (this.#tracks && key === 'byteLength') {
        return sizeOf(this.#access, this.#region) - this.#begin;
      }
      return plainProperty(this.#access, target, key);
    }
    const size = Number(match[2]) / 8;
    const at = (offset: unknown): number => {
      const index = Math.trunc(Number(offset)) || 0;
      if (index < 0 || !this.#hasBytes(index + size)) {
        throw new RangeError('Offset is outside the bounds of the DataView');
      }
      return this.#begin + index;
    };
    if (match[1] === 'get') {
      return (offset: unknown, littleEndian?: boolean): unknown => {
        this.#access.call();
        const begin = at(offset);
        for (let i = 0; i < size; i += 4) {
          const count = Math.min(4, size - i);
          const bytes = this.#access.bytes.load(this.#region, begin + i, count);
          for (let j = 0; j < count; j++) this.#scratchBytes[i + j] = bytes >>> (8 * j);
        }
        return Reflect.apply(method, this.#scratch, [0, littleEndian]);
      };
    }
    return (offset: unknown, value: unknown, littleEndian?: boolean): void => {
      this.#access.call();
      Reflect.apply(method, this.#scratch, [0, value, littleEndian]);
      this.#access.bytes.store(this.#region, at(offset), this.#scratchBytes, 0, size);
    };
  }

  #hasBytes(end: number): boolean {
    if (end <= this.#least) return true;
    return this.#tracks && reaches(this.#access, this.#region, this.#begin + end);
  }
}

export function makeDataView(
  access: SharedAccess,
  region: Region,
  byteOffset?: number,
  length?: number,
): DataView {
  const isGrowing = grows(region);
  const whole = isGrowing ? blockOfSize(access, region) : region.block;
  const { byteLength, byteOffset: begin } = new RealDataView(whole, byteOffset, length);
  const tracks = isGrowing && length === undefined;
  const target = new RealDataView(region.block, byteOffset, length);
  const proxy = new Proxy(target, new DataViewHandler(access, region, begin, tracks, byteLength));
  noteOtherView(proxy, tracks);
  return proxy;
}
