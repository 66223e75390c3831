// SPDX-License-Identifier: MIT
/** Model checker: how each kind of typed array stores its elements. */

import type { SharedAccess } from './accesses.ts';
import { OP_COMPARE_EXCHANGE, OP_LOAD, OP_STORE } from './machine-layout.ts';
import type { ModelMemory, Region } from './memory.ts';

export type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

export type Element = number | bigint;

/** The class of a typed array, as the engine has it. */
export interface TypedArrayClass {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  readonly prototype: object;
  new (length: number): TypedArray;
  new (elements: ArrayLike<number> | Iterable<number>): TypedArray;
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): TypedArray;
}

/** Of every kind of typed array; some engines have no Float16Array. */
export const TYPED_ARRAY_NAMES = [
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float16Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
] as const;

/** The engine's classes, of those that it has. */
export const TYPED_ARRAYS: readonly TypedArrayClass[] = TYPED_ARRAY_NAMES.flatMap(
  (name) => (globalThis as unknown as Record<string, TypedArrayClass>)[name] ?? [],
);

/** The place of a view's elements. */
export interface Place {
  readonly access: SharedAccess;
  readonly memory: ModelMemory;
  readonly region: Region;
  /** First byte. */
  readonly begin: number;
}

/** Moves elements of one kind between a region and the values that programs see. */
export interface Elements {
  load(index: number): Element;
  store(index: number, value: Element): void;
}

/** Elements of a kind that Atomics takes. The value of a store is what was given, as an integer. */
export interface AtomicElements extends Elements {
  atomic(op: number, index: number, a: Element, b: Element): Element;
}

const INTEGERS = /^(Big)?U?[Ii]nt\d+Array$/;

/** The elements of a view of any kind but Int32Array. */
export function elementsOf(View: TypedArrayClass, place: Place): Elements | AtomicElements {
  if (View.name === 'Uint32Array') return new UnsignedWords(place);
  if (View.name.startsWith('Big')) return new LongElements(View, place);
  return INTEGERS.test(View.name) ? new PartElements(View, place) : new ByteElements(View, place);
}

/** True if Atomics takes such elements. */
export function isAtomic(elements: Elements): elements is AtomicElements {
  return 'atomic' in elements;
}

/** Elements of which nothing is known but how the engine turns them into bytes. */
class ByteElements implements Elements {
  readonly size: number;
  protected readonly place: Place;
  readonly #value: TypedArray;
  readonly #bytes: Uint8Array;
  /** Integers of one word do not tear. */
  readonly #isWhole: boolean;

  constructor(View: TypedArrayClass, place: Place) {
    this.place = place;
    this.size = View.BYTES_PER_ELEMENT;
    this.#value = new View(1);
    this.#bytes = new Uint8Array(this.#value.buffer);
    this.#isWhole = INTEGERS.test(View.name) && this.size <= 4;
  }

  load(index: number): Element {
    const { access, region, begin } = this.place;
    const at = begin + index * this.size;
    for (let i = 0; i < this.size; i += 4) {
      const count = Math.min(4, this.size - i);
      const bytes = access.bytes.load(region, at + i, count, this.#isWhole);
      for (let j = 0; j < count; j++) this.#bytes[i + j] = bytes >>> (8 * j);
    }
    return this.#value[0];
  }

  store(index: number, value: Element): void {
    const { access, region, begin } = this.place;
    this.convert(value);
    const at = begin + index * this.size;
    access.bytes.store(region, at, this.#bytes, 0, this.size, this.#isWhole);
  }

  /** The element that the engine makes of a value. */
  protected convert(value: Element): Element {
    this.#value[0] = value;
    return this.#value[0];
  }
}

/** Integers of one byte or two. */
class PartElements extends ByteElements implements AtomicElements {
  atomic(op: number, index: number, a: Element, b: Element): Element {
    const { access, region, begin } = this.place;
    const at = begin + index * this.size;
    const first = integerOf(a);
    const second = op === OP_COMPARE_EXCHANGE ? integerOf(b) : 0;
    const bits = access.bytes.atomic(op, region, at, this.size as 1 | 2, first, second);
    return op === OP_STORE ? first : this.convert(bits);
  }
}

/** Integers of one word, read as unsigned. */
class UnsignedWords implements AtomicElements {
  readonly #place: Place;

  constructor(place: Place) {
    this.#place = place;
  }

  load(index: number): Element {
    return this.#place.access.plainLoad(this.#cell(index)) >>> 0;
  }

  store(index: number, value: Element): void {
    this.#place.access.plainStore(this.#cell(index), (value as number) | 0);
  }

  atomic(op: number, index: number, a: Element, b: Element): Element {
    const first = integerOf(a);
    const second = op === OP_COMPARE_EXCHANGE ? integerOf(b) : 0;
    const value = this.#place.access.atomic(op, this.#cell(index), first | 0, second | 0);
    return op === OP_STORE ? first : value >>> 0;
  }

  #cell(index: number): number {
    const { memory, region, begin } = this.#place;
    return memory.cellOfByte(region, begin + 4 * index);
  }
}

/** Integers of eight bytes. A plain access of one is two accesses, of its words. */
class LongElements extends ByteElements implements AtomicElements {
  readonly #isSigned: boolean;

  constructor(View: TypedArrayClass, place: Place) {
    super(View, place);
    this.#isSigned = View.name === 'BigInt64Array';
  }

  atomic(op: number, index: number, a: Element, b: Element): Element {
    const { access, memory, region, begin } = this.place;
    const cell = memory.cellOfByte(region, begin + 8 * index);
    // The engine takes no number here, and says so.
    const first = op === OP_LOAD ? 0n : BigInt.asUintN(64, a as bigint);
    const second = op === OP_COMPARE_EXCHANGE ? BigInt.asUintN(64, b as bigint) : 0n;
    const value = access.bytes.atomicLong(op, cell, first, second);
    if (op === OP_STORE) return BigInt(a);
    return this.#isSigned ? BigInt.asIntN(64, value) : value;
  }
}

/** As Atomics converts a number: what it stores of it, and what `store` returns. */
export function integerOf(value: unknown): number {
  // Unlike Number(), this takes no bigint.
  return Math.trunc(+(value as number)) || 0;
}
