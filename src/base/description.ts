// SPDX-License-Identifier: MIT
/**
 * What `JSON.stringify` and `util.inspect` show of an object that refers to shared memory: its
 * state in a few fields.
 *
 * Without it, a logger that gets a packet prints the whole pool, with the bytes of other
 * connections.
 */

/** What `util.inspect` calls, in Node, Bun and Deno. */
const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never;

type Inspect = (value: unknown, options: object) => string;

/**
 * Gives a class and its subclasses `toJSON` and what `util.inspect` calls. `describe` returns the
 * fields to show, numbers, strings and flags as in `stats()`; if it throws, as after `detach` or
 * `release`, the object is shown without fields.
 */
export function describeAs<T extends object>(
  type: { readonly prototype: T },
  name: string,
  describe: (self: T) => object,
): void {
  const fieldsOf = (self: T): object => {
    try {
      return describe(self);
    } catch {
      return {};
    }
  };
  function toJSON(this: T): object {
    return { type: name, ...fieldsOf(this) };
  }
  function inspect(this: T, _depth: number, options: object, show?: Inspect): string {
    const fields = fieldsOf(this);
    return `${name} ${show === undefined ? JSON.stringify(fields) : show(fields, options)}`;
  }
  Object.defineProperties(type.prototype, {
    toJSON: { value: toJSON, writable: true, configurable: true },
    [INSPECT]: { value: inspect, writable: true, configurable: true },
  });
}
