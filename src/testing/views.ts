// SPDX-License-Identifier: MIT
/**
 * Model checker: typed arrays on shared memory whose every element access goes to the machine.
 *
 * They are proxies around real (and unused) typed arrays, so `instanceof` and `buffer` work as
 * usual. Built-ins that need a typed array's internals (`TextDecoder`, `Buffer.concat`) do not take
 * them.
 */

import type { SharedAccess } from './accesses.ts';
import { blockOfSize, grows, reaches, sizeOf } from './growth.ts';
import type { ModelMemory, Region } from './memory.ts';
import {
  type Element,
  type Elements,
  elementsOf,
  type Place,
  type TypedArray,
  type TypedArrayClass,
} from './view-elements.ts';
import { type Bulk, type Method, methodsOf, type Viewed } from './view-methods.ts';

const RealInt32Array = Int32Array as unknown as TypedArrayClass;

const arrayViews = new WeakMap<object, ArrayView>();
/** With whether they have no length of their own. */
const otherViews = new WeakMap<object, boolean>();
let lastProxy: object | undefined;
let lastView: WordView | undefined;

/** The handler of an Int32Array on the model's memory; undefined for anything else. */
export function wordViewOf(words: object): WordView | undefined {
  if (words === lastProxy) return lastView;
  const view = arrayViews.get(words);
  if (!(view instanceof WordView)) return undefined;
  lastProxy = words;
  lastView = view;
  return view;
}

/** The handler of any typed array on the model's memory. */
export function arrayViewOf(view: object): ArrayView | undefined {
  return arrayViews.get(view);
}

/** True for views on the model's memory. */
export function isSharedView(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return arrayViews.has(value) || otherViews.has(value);
}

/** Records that a proxy is a view on the model's memory other than a typed array. */
export function noteOtherView(proxy: object, tracks: boolean): void {
  otherViews.set(proxy, tracks);
}

/** True for a view that reaches as far as its memory, whose length grows with it. */
export function tracksLength(view: object): boolean {
  return arrayViews.get(view)?.tracks ?? otherViews.get(view) ?? false;
}

/** Index of an element, or −1 for another property. */
function elementIndex(key: string): number {
  const first = key.charCodeAt(0);
  return first >= 48 && first <= 57 ? Number(key) : -1;
}

/** The engine's view of which nothing is used but its names, and how far it reaches. */
export interface Made {
  readonly target: TypedArray;
  readonly least: number;
  readonly tracks: boolean;
}

/** Handler of a typed array. */
export class ArrayView implements ProxyHandler<TypedArray> {
  readonly View: TypedArrayClass;
  readonly place: Place;
  /** Its elements when it was made: the least that it has. */
  readonly least: number;
  /** True if it has no length of its own, and reaches as far as its memory, which grows. */
  readonly tracks: boolean;
  readonly elements: Elements;
  readonly bulk: Bulk | undefined;
  /** The object that programs use. */
  readonly proxy: TypedArray;
  readonly #methods: ReadonlyMap<PropertyKey, Method>;

  constructor(View: TypedArrayClass, place: Place, made: Made, elements?: Elements) {
    this.View = View;
    this.place = place;
    this.least = made.least;
    this.tracks = made.tracks;
    this.elements = elements ?? elementsOf(View, place);
    this.bulk = View.BYTES_PER_ELEMENT === 1 ? bulkOf(place) : undefined;
    this.#methods = methodsOf(View);
    this.proxy = new Proxy(made.target, this);
    arrayViews.set(this.proxy, this);
  }

  /** The number of elements now, as the program reads it. */
  get length(): number {
    if (!this.tracks) return this.least;
    const { access, region, begin } = this.place;
    return Math.trunc((sizeOf(access, region) - begin) / this.View.BYTES_PER_ELEMENT);
  }

  get(target: TypedArray, key: string | symbol): unknown {
    if (typeof key === 'string') {
      const index = elementIndex(key);
      if (index >= 0) return this.hasElement(index) ? this.elements.load(index) : undefined;
    }
    return this.property(target, key);
  }

  set(target: TypedArray, key: string | symbol, value: Element): boolean {
    const index = typeof key === 'string' ? elementIndex(key) : -1;
    if (index < 0) return Reflect.set(target, key, value);
    if (this.hasElement(index)) this.elements.store(index, value);
    return true;
  }

  has(target: TypedArray, key: string | symbol): boolean {
    const index = typeof key === 'string' ? elementIndex(key) : -1;
    return index < 0 ? Reflect.has(target, key) : this.hasElement(index);
  }

  ownKeys(target: TypedArray): (string | symbol)[] {
    const keys = Reflect.ownKeys(target);
    if (!this.tracks) return keys;
    const { length } = this;
    return keys.filter((key) => typeof key !== 'string' || elementIndex(key) < length);
  }

  getOwnPropertyDescriptor(
    target: TypedArray,
    key: string | symbol,
  ): PropertyDescriptor | undefined {
    const own = Reflect.getOwnPropertyDescriptor(target, key);
    if (own === undefined || typeof key !== 'string' || elementIndex(key) < 0) return own;
    if (!this.hasElement(elementIndex(key))) return undefined;
    return { ...own, value: this.elements.load(elementIndex(key)) };
  }

  defineProperty(target: TypedArray, key: string | symbol, property: PropertyDescriptor): boolean {
    const index = typeof key === 'string' ? elementIndex(key) : -1;
    if (index < 0) return Reflect.defineProperty(target, key, property);
    const { value, ...rest } = property;
    if (!this.hasElement(index)) return false;
    if (!Reflect.defineProperty(target, key, rest)) return false;
    if ('value' in property) this.elements.store(index, value as Element);
    return true;
  }

  /**
   * Length, offsets and the like, and methods. A method of the engine would need the internals of a
   * real typed array; one without a counterpart here is rejected.
   */
  property(target: TypedArray, key: string | symbol): unknown {
    const { access } = this.place;
    if (key === 'constructor') return Reflect.get(globalThis, this.View.name);
    const method = Object.hasOwn(target, key) ? undefined : this.#methods.get(key);
    if (method !== undefined) {
      return (...args: unknown[]) => {
        access.call();
        return method(this.tracks ? this.#still() : this, args);
      };
    }
    if (this.tracks && key === 'length') return this.length;
    if (this.tracks && key === 'byteLength') return this.length * this.View.BYTES_PER_ELEMENT;
    return plainProperty(access, target, key);
  }

  /** Another view of `[begin, end)` of the elements, or of all from `begin`. */
  part(begin: number, end?: number): TypedArray {
    const { access, memory, region } = this.place;
    const at = this.place.begin + begin * this.View.BYTES_PER_ELEMENT;
    const tracks = end === undefined && this.tracks;
    const count = tracks ? undefined : Math.max(0, (end ?? this.length) - begin);
    return makeArray(this.View, access, memory, region, at, count);
  }

  /** True if there is such an element now. */
  hasElement(index: number): boolean {
    if (!Number.isInteger(index)) return false;
    return index < this.least || (this.tracks && this.#reaches(index));
  }

  #reaches(index: number): boolean {
    const { access, region, begin } = this.place;
    return reaches(access, region, begin + (index + 1) * this.View.BYTES_PER_ELEMENT);
  }

  /** The view for a method, which reads the length once. */
  #still(): Viewed {
    let length: number | undefined;
    const get = (): number => {
      length ??= this.length;
      return length;
    };
    return Object.create(this, { length: { get } }) as Viewed;
  }
}

/** Handler of an Int32Array, the most used kind, with the shortest path. */
export class WordView extends ArrayView {
  readonly #access: SharedAccess;
  readonly #firstCell: number;
  readonly #cellWords: number;

  constructor(View: TypedArrayClass, place: Place, made: Made) {
    const { access, memory, region, begin } = place;
    super(View, place, made, {
      load: (index) => access.plainLoad(this.cell(index)),
      store: (index, value) => access.plainStore(this.cell(index), value as number),
    });
    this.#access = access;
    this.#cellWords = memory.cellWords;
    this.#firstCell = memory.cellOfByte(region, begin);
  }

  /** Heap index of an element. */
  cell(index: number): number {
    if (!Number.isInteger(index)) return this.cell(Math.trunc(Number(index)) || 0);
    if (!(index >= 0 && this.hasElement(index))) {
      throw new RangeError('Invalid atomic access index');
    }
    return this.#firstCell + index * this.#cellWords;
  }

  override get(target: TypedArray, key: string | symbol): unknown {
    if (typeof key === 'string') {
      const index = elementIndex(key);
      if (index >= 0) {
        return this.hasElement(index)
          ? this.#access.plainLoad(this.#firstCell + index * this.#cellWords)
          : undefined;
      }
    }
    return this.property(target, key);
  }
}

/** Moves bytes in bulk, word by word. */
export function bulkOf({ access, region, begin: first }: Place): Bulk {
  return {
    load: (begin, end, into) => {
      for (let i = begin; i < end; i += 4) {
        const count = Math.min(4, end - i);
        const bytes = access.bytes.load(region, first + i, count);
        for (let j = 0; j < count; j++) into[i - begin + j] = (bytes >>> (8 * j)) & 0xff;
      }
    },
    store: (begin, bytes) => {
      access.bytes.store(region, first + begin, bytes, 0, bytes.length);
    },
  };
}

/** A property other than elements and methods. */
export function plainProperty(
  access: SharedAccess,
  target: TypedArray | DataView,
  key: string | symbol,
): unknown {
  const value: unknown = Reflect.get(target, key, target);
  if (typeof value === 'function' && key !== 'constructor' && !Object.hasOwn(target, key)) {
    access.complain(`the model checker's shared views have no ${String(key)}`);
  }
  return value;
}

/** Creates a typed array of any kind. **Throws** as the engine does if it does not fit. */
export function makeArray(
  View: TypedArrayClass,
  access: SharedAccess,
  memory: ModelMemory,
  region: Region,
  byteOffset?: number,
  length?: number,
): TypedArray {
  const isGrowing = grows(region);
  const whole = isGrowing ? blockOfSize(access, region) : region.block;
  const least = new View(whole, byteOffset, length).length;
  const tracks = isGrowing && length === undefined;
  const target = new View(region.block, byteOffset, length);
  const place = { access, memory, region, begin: target.byteOffset };
  const Handler = View === RealInt32Array ? WordView : ArrayView;
  return new Handler(View, place, { target, least, tracks }).proxy;
}

export function makeWords(access: SharedAccess, memory: ModelMemory, region: Region): TypedArray {
  return makeArray(RealInt32Array, access, memory, region);
}
