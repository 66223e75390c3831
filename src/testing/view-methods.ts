// SPDX-License-Identifier: MIT
/**
 * Model checker: the methods of typed arrays. Those that read element by element between calls of
 * the program are Array's, which read as late as the engine's do; those that read all first work on
 * a private copy.
 */

import type { Element, TypedArray, TypedArrayClass } from './view-elements.ts';

/** The part of a view that its methods use. */
export interface Viewed {
  readonly View: TypedArrayClass;
  readonly length: number;
  readonly proxy: TypedArray;
  readonly elements: {
    load(index: number): Element;
    store(index: number, value: Element): void;
  };
  /** Moves a range of bytes at once; undefined if elements are no bytes. */
  readonly bulk?: Bulk | undefined;
  /** Elements from `begin`, to `end` or as far as the view reaches. */
  part(begin: number, end?: number): TypedArray;
}

export interface Bulk {
  load(begin: number, end: number, into: TypedArray): void;
  store(begin: number, bytes: ArrayLike<number>): void;
}

export type Method = (view: Viewed, args: unknown[]) => unknown;
type Call = (...args: unknown[]) => unknown;

/** Methods that use only `length` and elements, so Array's own suffice. */
const ARRAYS = [
  'at',
  'entries',
  'every',
  'find',
  'findIndex',
  'findLast',
  'findLastIndex',
  'forEach',
  'includes',
  'indexOf',
  'join',
  'keys',
  'lastIndexOf',
  'reduce',
  'reduceRight',
  'reverse',
  'some',
  'toLocaleString',
  'toString',
  'values',
] as const;

const methods = new Map<PropertyKey, Method>();
for (const name of ARRAYS) {
  const method = Array.prototype[name] as Call;
  methods.set(name, ({ proxy }, args) => Reflect.apply(method, proxy, args));
}
methods.set(Symbol.iterator, methods.get('values') as Method);
for (const name of ['map', 'filter'] as const) {
  const method = Array.prototype[name] as Call;
  methods.set(name, ({ View, proxy }, args) => {
    return new View(Reflect.apply(method, proxy, args) as number[]);
  });
}
for (const name of ['toReversed', 'toSorted', 'with'] as const) {
  methods.set(name, (view, args) => {
    const copy = copyOf(view, 0, view.length);
    return (copy as unknown as Record<string, Call>)[name](...args);
  });
}
methods.set('slice', (view, [begin, end]) => copyOf(view, ...rangeOf(view, begin, end)));
methods.set('subarray', (view, [begin, end]) => {
  const [from, to] = rangeOf(view, begin, end);
  return view.part(from, end === undefined ? undefined : to);
});
methods.set('sort', (view, [compare]) => {
  const isFunction = compare === undefined || typeof compare === 'function';
  // Rejected with the engine's own error.
  if (!isFunction) new view.View(0).sort(compare as () => number);
  const sorted = copyOf(view, 0, view.length).sort(compare as () => number);
  storeAll(view, 0, sorted as ArrayLike<Element>);
  return view.proxy;
});
methods.set('fill', (view, [value, begin, end]) => {
  const [from, to] = rangeOf(view, begin, end);
  // Converted once, even if there is nothing to fill.
  const filled = new view.View(Math.max(1, to - from)).fill(value as never) as TypedArray;
  storeAll(view, from, (to > from ? filled : []) as ArrayLike<Element>);
  return view.proxy;
});
methods.set('set', (view, [source, offset]) => {
  const at = Math.trunc(Number(offset ?? 0)) || 0;
  const given = Object(source) as ArrayLike<Element>;
  const count = Math.trunc(Number(given.length)) || 0;
  if (at < 0 || at + count > view.length) throw new RangeError('offset is out of bounds');
  // Everything is read before anything is written: both may be the same memory.
  const copied = new view.View(Array.from(given as ArrayLike<number>));
  storeAll(view, at, copied as ArrayLike<Element>);
});
methods.set('copyWithin', (view, [target, begin, end]) => {
  const to = relative(target, view.length, 0);
  const [from, until] = rangeOf(view, begin, end);
  const count = Math.min(until - from, view.length - to);
  if (count > 0) storeAll(view, to, copyOf(view, from, from + count) as ArrayLike<Element>);
  return view.proxy;
});

const known = new WeakMap<TypedArrayClass, ReadonlyMap<PropertyKey, Method>>();

/** The methods that the engine has as well. */
export function methodsOf(View: TypedArrayClass): ReadonlyMap<PropertyKey, Method> {
  let own = known.get(View);
  if (own === undefined) {
    own = new Map([...methods].filter(([name]) => name in View.prototype));
    known.set(View, own);
  }
  return own;
}

/** A private copy of `[begin, end)`. */
export function copyOf(view: Viewed, begin: number, end: number): TypedArray {
  const copy = new view.View(Math.max(0, end - begin));
  if (view.bulk !== undefined) view.bulk.load(begin, end, copy);
  else for (let i = begin; i < end; i++) copy[i - begin] = view.elements.load(i);
  return copy;
}

function storeAll(view: Viewed, begin: number, source: ArrayLike<Element>): void {
  if (view.bulk !== undefined) view.bulk.store(begin, source as ArrayLike<number>);
  else for (let i = 0; i < source.length; i++) view.elements.store(begin + i, source[i]);
}

/** An index that counts from the end if it is negative, within the view. */
function relative(given: unknown, length: number, otherwise: number): number {
  if (given === undefined) return otherwise;
  const index = Math.trunc(Number(given)) || 0;
  return index < 0 ? Math.max(0, length + index) : Math.min(index, length);
}

export function rangeOf(
  { length }: { readonly length: number },
  begin: unknown,
  end: unknown,
): [begin: number, end: number] {
  return [relative(begin, length, 0), relative(end, length, length)];
}
