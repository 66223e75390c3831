// SPDX-License-Identifier: MIT
/**
 * Model checker: values as text. Values with equal texts count as equal, so one function compares
 * results, gives keys of tables and prints.
 */

/** Deepest nesting; a deeper value is probably a cycle. */
const DEPTH_MAX = 12;

/** Thrown for a value whose properties do not determine it. */
export class UntellableValue extends TypeError {}

/** Text of a value. **Throws** UntellableValue for functions, symbols and private state. */
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

/** Text of an exception: its code if it has one, otherwise its name. */
export function thrownText(error: unknown): string {
  if (!(error instanceof Error)) return `throws ${textOf(error)}`;
  const code = (error as { code?: unknown }).code;
  return `throws ${typeof code === 'string' ? code : error.name}`;
}

const classes = new WeakMap<object, boolean>();

/** True if the object's class, or one that it extends, has private fields. */
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
