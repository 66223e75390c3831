// SPDX-License-Identifier: MIT
/**
 * Model checker: typed arrays on shared memory whose every element access goes to the machine.
 *
 * They are proxies around real (and unused) typed arrays, so `instanceof` and `buffer` work as
 * usual. Built-ins that need a typed array's internals (`TextDecoder`, `Buffer.concat`) do not take
 * them.
 */

import type { SharedAccess } from './accesses.ts';
import type { ModelMemory, Region } from './memory.ts';
import {
  type Element,
  type Elements,
  elementsOf,
  type Place,
  type TypedArray,
  type TypedArrayClass,
} from './view-elements.ts';
import { type Bulk, type Method, methodsOf } from './view-methods.ts';

const RealInt32Array = Int32Array as unknown as TypedArrayClass;

const arrayViews = new WeakMap<object, ArrayView>();
const otherViews = new WeakSet<object>();
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
export function noteOtherView(proxy: object): void {
  otherViews.add(proxy);
}

/** Index of an element, or −1 for another property. */
function elementIndex(key: string): number {
  const first = key.charCodeAt(0);
  return first >= 48 && first <= 57 ? Number(key) : -1;
}

/** Handler of a typed array. */
export class ArrayView implements ProxyHandler<TypedArray> {
  readonly View: TypedArrayClass;
  readonly place: Place;
  readonly length: number;
  readonly elements: Elements;
  readonly bulk: Bulk | undefined;
  /** The object that programs use. */
  readonly proxy: TypedArray;
  readonly #methods: ReadonlyMap<PropertyKey, Method>;

  constructor(View: TypedArrayClass, place: Place, target: TypedArray, elements?: Elements) {
    this.View = View;
    this.place = place;
    this.length = target.length;
    this.elements = elements ?? elementsOf(View, place);
    this.bulk = View.BYTES_PER_ELEMENT === 1 ? bulkOf(place) : undefined;
    this.#methods = methodsOf(View);
    this.proxy = new Proxy(target, this);
    arrayViews.set(this.proxy, this);
  }

  get(target: TypedArray, key: string | symbol): unknown {
    if (typeof key === 'string') {
      const index = elementIndex(key);
      if (index >= 0) return this.#has(index) ? this.elements.load(index) : undefined;
    }
    return this.property(target, key);
  }

  set(target: TypedArray, key: string | symbol, value: Element): boolean {
    const index = typeof key === 'string' ? elementIndex(key) : -1;
    if (index < 0) return Reflect.set(target, key, value);
    if (this.#has(index)) this.elements.store(index, value);
    return true;
  }

  getOwnPropertyDescriptor(
    target: TypedArray,
    key: string | symbol,
  ): PropertyDescriptor | undefined {
    const own = Reflect.getOwnPropertyDescriptor(target, key);
    if (own === undefined || typeof key !== 'string' || elementIndex(key) < 0) return own;
    return { ...own, value: this.elements.load(elementIndex(key)) };
  }

  defineProperty(target: TypedArray, key: string | symbol, property: PropertyDescriptor): boolean {
    const index = typeof key === 'string' ? elementIndex(key) : -1;
    if (index < 0) return Reflect.defineProperty(target, key, property);
    const { value, ...rest } = property;
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
        return method(this, args);
      };
    }
    return plainProperty(access, target, key);
  }

  /** Another view of `[begin, end)` of the elements. */
  part(begin: number, end: number): TypedArray {
    const { access, memory, region } = this.place;
    const at = this.place.begin + begin * this.View.BYTES_PER_ELEMENT;
    return makeArray(this.View, access, memory, region, at, Math.max(0, end - begin));
  }

  #has(index: number): boolean {
    return index < this.length && Number.isInteger(index);
  }
}

/** Handler of an Int32Array, the most used kind, with the shortest path. */
export class WordView extends ArrayView {
  readonly #access: SharedAccess;
  readonly #firstCell: number;
  readonly #cellWords: number;

  constructor(View: TypedArrayClass, place: Place, target: TypedArray) {
    const { access, memory, region, begin } = place;
    super(View, place, target, {
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
    if (!(index >= 0 && index < this.length)) throw new RangeError('Invalid atomic access index');
    return this.#firstCell + index * this.#cellWords;
  }

  override get(target: TypedArray, key: string | symbol): unknown {
    if (typeof key === 'string') {
      const index = elementIndex(key);
      if (index >= 0) {
        return index < this.length && Number.isInteger(index)
          ? this.#access.plainLoad(this.#firstCell + index * this.#cellWords)
          : undefined;
      }
    }
    return this.property(target, key);
  }
}

/** Moves bytes in bulk, word by word. */
function bulkOf({ access, region, begin: first }: Place): Bulk {
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
  const target = new View(region.block, byteOffset, length);
  const place = { access, memory, region, begin: target.byteOffset };
  const Handler = View === RealInt32Array ? WordView : ArrayView;
  return new Handler(View, place, target).proxy;
}

export function makeWords(access: SharedAccess, memory: ModelMemory, region: Region): TypedArray {
  return makeArray(RealInt32Array, access, memory, region);
}
