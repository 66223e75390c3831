// SPDX-License-Identifier: MIT
/**
 * Model checker: dispatchers, for code that keeps globals when it is loaded.
 *
 * `busbar/testing/register` replaces globals by dispatchers before other modules are loaded. A
 * dispatcher behaves as the global did; while a scenario runs, it behaves as the model's
 * replacement of the global.
 */

type Constructor = new (...args: unknown[]) => object;
type Call = (this: unknown, ...args: unknown[]) => unknown;

/** Replacements by the name of the global, while a scenario runs. */
const replacements = new Map<string, unknown>();

/** Records the replacement of a global; undefined: it is restored. */
export function noteReplacement(name: string, value: unknown): void {
  if (value === undefined) replacements.delete(name);
  else replacements.set(name, value);
}

/** Returns a class that constructs objects of its current replacement. */
export function dispatchClass<Class>(name: string, original: Class): Class {
  const dispatcher: object = new Proxy(original as Constructor, {
    construct(target, args, newTarget) {
      const present = (replacements.get(name) ?? target) as Constructor;
      const made = newTarget === dispatcher ? present : newTarget;
      return Reflect.construct(present, args, made as Constructor) as object;
    },
    apply(target, self, args) {
      const present = (replacements.get(name) ?? target) as unknown as Call;
      return Reflect.apply(present, self, args);
    },
  });
  return dispatcher as Class;
}

/** Returns a function that calls its current replacement. */
export function dispatchFunction<Function_>(name: string, original: Function_): Function_ {
  const dispatcher = new Proxy(original as unknown as Call, {
    apply(target, self, args) {
      const present = (replacements.get(name) ?? target) as Call;
      return Reflect.apply(present, self, args);
    },
  });
  return dispatcher as unknown as Function_;
}

/** Returns an object like `Atomics` whose functions call those of its current replacement. */
export function dispatchObject<Original extends object>(
  name: string,
  original: Original,
): Original {
  const dispatcher = Object.create(null) as Record<PropertyKey, unknown>;
  for (const key of Reflect.ownKeys(original)) {
    const property = Object.getOwnPropertyDescriptor(original, key) as PropertyDescriptor;
    const value: unknown = property.value;
    if (typeof value !== 'function') {
      Object.defineProperty(dispatcher, key, property);
      continue;
    }
    const call = new Proxy(value as Call, {
      apply(target, self, args) {
        const present = replacements.get(name) as Record<PropertyKey, Call> | undefined;
        return Reflect.apply(present?.[key] ?? target, self, args);
      },
    });
    Object.defineProperty(dispatcher, key, { ...property, value: call });
  }
  Object.setPrototypeOf(dispatcher, Object.prototype);
  return dispatcher as Original;
}
