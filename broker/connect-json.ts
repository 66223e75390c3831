// SPDX-License-Identifier: MIT
/**
 * Example broker: parses the argument of CONNECT and INFO as nats-server does, that is, as Go's
 * decoder fills a struct: keys in any case, the last of several wins, null changes nothing, an
 * integer has neither point nor exponent, and a wrong type anywhere makes all of it invalid.
 */

/** Known keys, each with a value of its type: boolean, integer, string, or object. */
export type Fields = Readonly<Record<string, unknown>>;

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const INTEGER = /^-?\d+$/;

/**
 * Passes each known key and its value to `set`, in order, without nulls; instead of an object an
 * empty one. False: the text is neither an object nor null, or a known key has a value of another
 * type.
 */
export function readFields(
  text: string,
  known: Fields,
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
  // It is valid JSON: a member begins with its key, a colon, and the first token of its value.
  let depth = 0;
  let key = '';
  let before = '';
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '}' || token === ']') depth--;
    if (depth === 1 && token === ':') key = fold(JSON.parse(before) as string);
    if (depth === 1 && before === ':' && token !== 'null' && Object.hasOwn(known, key)) {
      const value: unknown = token === '{' ? {} : token === '[' ? [] : JSON.parse(token);
      if (!isLike(known[key], value, token)) return false;
      set(key, value);
    }
    if (token === '{' || token === '[') depth++;
    before = token;
  }
  return true;
}

/** Folds a key as Go does: one letter besides A to Z folds to a small s. */
function fold(key: string): string {
  return key.replaceAll('\u017f', 's').toLowerCase();
}

function isLike(known: unknown, value: unknown, source: string): boolean {
  if (typeof known !== typeof value || Array.isArray(value)) return false;
  if (typeof value !== 'number') return true;
  return INTEGER.test(source) && BigInt.asIntN(64, BigInt(source)) === BigInt(source);
}
