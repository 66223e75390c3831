// SPDX-License-Identifier: MIT
/**
 * Model checker: the text of a value. Two values count as the same when their texts are, so one
 * function compares results, keys tables and prints.
 */

/** Values within values beyond which a text is refused: it would be a cycle. */
const DEPTH_MAX = 12;

/** What stands where a value cannot be told by its properties. */
export class UntellableValue extends TypeError {}

/** Equal for equal values; **Throws** UntellableValue for functions, symbols and private state. */
export function textOf(value: unknown, depth = 0): string {
  if (depth > DEPTH_MAX) throw new UntellableValue('the value is nested too deeply');
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return `${value}n`;
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'object':
      return value === null ? 'null' : objectText(value, depth + 1);
    default:
      throw new UntellableValue(`a ${typeof value} cannot be compared`);
  }
}

function objectText(value: object, depth: number): string {
  const list = (items: Iterable<unknown>): string =>
    Array.from(items, (item) => textOf(item, depth)).join(', ');
  if (Array.isArray(value)) return `[${list(value)}]`;
  if (value instanceof Error) return thrownText(value);
  if (value instanceof Map) {
    const entries = Array.from(value, ([key, item]) => `${textOf(key, depth)} => ${textOf(item)}`);
    return `Map {${entries.join(', ')}}`;
  }
  if (value instanceof Set) return `Set {${list(value)}}`;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return `${value.constructor.name} [${list(value as unknown as Iterable<unknown>)}]`;
  }
  if (hasPrivateState(value)) throw new UntellableValue('private fields cannot be compared');
  const entries = Object.keys(value).map(
    (key) => `${key}: ${textOf((value as Record<string, unknown>)[key], depth)}`,
  );
  return `{${entries.join(', ')}}`;
}

/** What was thrown, as far as it counts: a code if it has one, else its name. */
export function thrownText(error: unknown): string {
  if (!(error instanceof Error)) return `throws ${textOf(error)}`;
  const code = (error as { code?: unknown }).code;
  return `throws ${typeof code === 'string' ? code : error.name}`;
}

const classes = new WeakMap<object, boolean>();

/** True if the object's class, or one that it extends, has fields that nobody else can read. */
function hasPrivateState(value: object): boolean {
  let prototype: object | null = Object.getPrototypeOf(value);
  while (prototype !== null && prototype !== Object.prototype) {
    const made: unknown = prototype.constructor;
    if (typeof made !== 'function') return true;
    let hidden = classes.get(made);
    if (hidden === undefined) {
      const source = Function.prototype.toString.call(made);
      hidden = !source.startsWith('class') || /#[\p{ID_Start}$_]|__private|WeakMap/u.test(source);
      classes.set(made, hidden);
    }
    if (hidden) return true;
    prototype = Object.getPrototypeOf(prototype);
  }
  return false;
}
