// SPDX-License-Identifier: MIT
/** Checks of arguments at the boundary. Errors name argument, expectation and value. */

import { type Bytes, isBytes, isWords, lengthOf } from './views.ts';

/** Shows a value in an error message without ever throwing itself. */
export function show(value: unknown): string {
  try {
    return describe(value);
  } catch {
    return 'a value that cannot be shown';
  }
}

function describe(value: unknown): string {
  if (typeof value === 'string') {
    return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}…` : JSON.stringify(value);
  }
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`;
  if (typeof value !== 'object' || value === null) return String(value);
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  return `an object of type ${typeof name === 'string' ? name : '(no prototype)'}`;
}

const FACTORIES = ['create', 'attach', 'open', 'connect', 'listen', 'start', 'of'];

/** For constructors that programs do not call. `made` is `new.target`; `by` makes its objects. */
export function checkMade(isMade: boolean, made: { readonly name: string }, by?: string): void {
  if (isMade) return;
  const ways = FACTORIES.filter((way) => way in made).map((way) => `${made.name}.${way}`);
  throw new TypeError(`new ${made.name} is refused: use ${by ?? ways.join(' or ')}`);
}

/** An integer in `[min, max]`, both inclusive. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') {
    throw new TypeError(`${name} must be an integer from ${min} to ${max}, got ${show(value)}`);
  }
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be an integer from ${min} to ${max}, got ${show(value)}`);
  }
  return value;
}

/** A duration in milliseconds: zero or more, `Infinity` allowed. */
export function checkTimeoutMs(name: string, value: unknown): number {
  if (typeof value !== 'number') {
    throw new TypeError(`${name} must be a number of milliseconds, got ${show(value)}`);
  }
  if (!(value >= 0)) {
    throw new RangeError(`${name} must be zero or more milliseconds, got ${show(value)}`);
  }
  return value;
}

/** A time for a message: what is left of a timeout has many digits. */
export function showMs(ms: number): string {
  return `${Math.ceil(ms)} ms`;
}

/** One of a few words. */
export function checkOneOf<T extends string>(
  name: string,
  value: unknown,
  allowed: readonly T[],
): T {
  if (!allowed.includes(value as T)) {
    throw new RangeError(`${name} must be one of ${allowed.join(', ')}, got ${show(value)}`);
  }
  return value as T;
}

/** A boolean. */
export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') {
    throw new TypeError(`${name} must be true or false, got ${show(value)}`);
  }
  return value;
}

/** A string. */
export function checkText(name: string, value: unknown): string {
  if (typeof value !== 'string')
    throw new TypeError(`${name} must be a string, got ${show(value)}`);
  return value;
}

/** A function. */
export function checkFunction<T>(name: string, value: T): T {
  if (typeof value !== 'function') {
    throw new TypeError(`${name} must be a function, got ${show(value)}`);
  }
  return value;
}

/** What is expected where a string, which is written as UTF-8, will do as well. */
export const OR_STRING = 'a string or a Uint8Array';

/** Bytes: a Uint8Array (a Node Buffer is one), on any kind of memory; `what`: in the error. */
export function checkBytes(name: string, value: unknown, what: string = 'a Uint8Array'): Bytes {
  if (!isBytes(value)) throw new TypeError(`${name} must be ${what}, got ${show(value)}`);
  return value;
}

/** Words: an Int32Array, on any kind of memory. */
export function checkWords(name: string, value: unknown): Int32Array<ArrayBufferLike> {
  if (!isWords(value)) throw new TypeError(`${name} must be an Int32Array, got ${show(value)}`);
  return value;
}

/** An array. */
export function checkArray<T>(name: string, value: readonly T[]): readonly T[] {
  if (!Array.isArray(value)) throw new TypeError(`${name} must be an array, got ${show(value)}`);
  return value;
}

/**
 * A copy of an array, so that the checked values are the used ones. A getter or a Proxy could
 * return other values the second time, and an iterator might never end.
 */
export function copyArray<T>(name: string, value: readonly T[]): T[] {
  const array = checkArray(name, value);
  const count = checkInteger(`${name}.length`, array.length, 0, ARRAY_LENGTH_MAX);
  const copy: T[] = [];
  for (let i = 0; i < count; i++) copy.push(array[i]);
  return copy;
}

/** The language's limit for arrays. */
const ARRAY_LENGTH_MAX: number = 2 ** 32 - 1;

/**
 * A range `[begin, end)` of `length` elements: integers, 0 ≤ begin ≤ end ≤ length. The one check of
 * such arguments.
 *
 * **Cost** five comparisons. **Throws** TypeError, RangeError.
 */
export function checkRange(begin: unknown, end: unknown, length: number): void {
  // Numbers only: a bitwise operator would call a valueOf, and throws for a bigint.
  if (typeof begin === 'number' && typeof end === 'number') {
    const isWhole = (begin | 0) === begin && (end | 0) === end;
    if (isWhole && begin >= 0 && begin <= end && end <= length) return;
  }
  checkInteger('begin', begin, 0, checkInteger('end', end, 0, length));
}

/**
 * The source of a copy: bytes and a range of them. {@link copyBytes} detects a class or a property
 * that reports a wrong length.
 *
 * **Cost** one look at the class, six comparisons. **Throws** TypeError, RangeError.
 */
export function checkSource(source: Bytes, begin: number, end: number, what?: string): void {
  if (
    source instanceof Uint8Array &&
    typeof begin === 'number' &&
    typeof end === 'number' &&
    // An integer of zero or more, and no more than an end of 31 bits.
    begin >>> 0 === begin &&
    (end | 0) === end &&
    begin <= end
  ) {
    const { length } = source;
    if (typeof length === 'number' && end <= length) return;
  }
  checkRealSource(source, begin, end, what);
}

/**
 * As {@link checkSource}, and also refuses a source that only claims its length: a proxy, or an own
 * `length` property. A copy from a source that passes cannot throw because of it.
 */
export function checkRealSource(source: Bytes, begin: number, end: number, what?: string): void {
  checkRange(begin, end, lengthOf(checkBytes('source', source, what)));
}

/** An AbortSignal or nothing. */
export function checkSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw new TypeError(`${name} must be an AbortSignal, got ${show(value)}`);
}

/**
 * An options object with known keys only: a misspelt option is an error, not a default. Returns a
 * copy for which each known key was read once, so that the checked values are the used ones, even
 * if a getter returns something else the next time.
 */
export function checkOptions<T>(name: string, value: T, known: readonly string[]): T {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${name} must be an object, got ${show(value)}`);
  }
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const what = name === 'options' ? 'there is' : `${name} has`;
    throw new TypeError(
      `${what} no option ${show(key)}${hint(key, known)}; known are ${known.join(', ')}`,
    );
  }
  const own: Record<string, unknown> = {};
  for (const key of known) {
    const option = (value as Record<string, unknown>)[key];
    if (option !== undefined) own[key] = option;
  }
  return own as T;
}

/** ` (did you mean "name"?)` if one of the known words is near to a wrong one; else ''. */
export function hint(wrong: string, known: readonly string[]): string {
  let nearest = '';
  // One edit for a word of one letter or two, two for a longer one.
  let edits = Math.min(2, (wrong.length + 1) >> 1) + 1;
  for (const word of known) {
    if (Math.abs(word.length - wrong.length) >= edits) continue;
    const count = editsBetween(wrong.toLowerCase(), word.toLowerCase());
    if (count >= edits || count === word.length) continue;
    nearest = word;
    edits = count;
  }
  return nearest === '' ? '' : ` (did you mean "${nearest}"?)`;
}

/** Characters to insert, remove or replace. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = row[j] + Number(a[i] !== b[j]);
      next.push(Math.min(replaced, row[j + 1] + 1, next[j] + 1));
    }
    row = next;
  }
  return row[b.length];
}
