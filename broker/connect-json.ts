// SPDX-License-Identifier: MIT
/**
 * Example broker: parses the argument of CONNECT and INFO as nats-server does, that is, as Go's
 * decoder fills a struct: keys in any case, the last of several wins, null changes nothing, an
 * integer has neither point nor exponent, and a wrong type anywhere makes all of it invalid.
 */

/** Type of a known key's value. */
export type FieldType = 'bool' | 'int' | 'string' | 'object';

const STRING = /"(?:[^"\\]|\\.)*"/y;
const BLANK = /[ \t\r\n]*/y;
const SCALAR = /[^,\]}\s]+/y;
const INTEGER = /^-?\d+$/;
const INTEGER_MAX = 2n ** 63n;

/**
 * Passes each known key and its value to `set`, in order, without nulls. False: the text is neither
 * an object nor null, or a known key has a value of another type.
 */
export function readFields(
  text: string,
  types: ReadonlyMap<string, FieldType>,
  set: (name: string, value: unknown) => void,
): boolean {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch {
    return false;
  }
  if (whole === null) return true;
  if (typeof whole !== 'object' || Array.isArray(whole)) return false;
  // It is valid JSON, so its members are easily found.
  let at = skip(BLANK, text, 0) + 1;
  for (;;) {
    at = skip(BLANK, text, at);
    if (text[at] === '}') return true;
    if (text[at] === ',') at = skip(BLANK, text, at + 1);
    const keyEnd = skip(STRING, text, at);
    const name = fold(JSON.parse(text.slice(at, keyEnd)) as string);
    const valueBegin = skip(BLANK, text, skip(BLANK, text, keyEnd) + 1);
    at = skipValue(text, valueBegin);
    const type = types.get(name);
    const source = text.slice(valueBegin, at);
    if (type === undefined || source === 'null') continue;
    const value: unknown = JSON.parse(source);
    if (!isOfType(value, source, type)) return false;
    set(name, value);
  }
}

/** Folds a key as Go does: one letter besides A to Z folds to a small s. */
function fold(key: string): string {
  return key.replaceAll('\u017f', 's').toLowerCase();
}

function isOfType(value: unknown, source: string, type: FieldType): boolean {
  switch (type) {
    case 'bool':
      return typeof value === 'boolean';
    case 'string':
      return typeof value === 'string';
    case 'object':
      return typeof value === 'object' && !Array.isArray(value);
    case 'int':
      return INTEGER.test(source) && isInt64(BigInt(source));
  }
}

function isInt64(value: bigint): boolean {
  return value >= -INTEGER_MAX && value < INTEGER_MAX;
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  pattern.test(text);
  return pattern.lastIndex;
}

function skipValue(text: string, begin: number): number {
  let depth = 0;
  let at = begin;
  do {
    at = skip(BLANK, text, at);
    const character = text[at];
    if (character === '"') at = skip(STRING, text, at);
    else if (character === '{' || character === '[') {
      depth++;
      at++;
    } else if (character === '}' || character === ']') {
      depth--;
      at++;
    } else if (character === ',' || character === ':') at++;
    else at = skip(SCALAR, text, at);
  } while (depth > 0);
  return at;
}
