// SPDX-License-Identifier: MIT
/**
 * Model checker: what stands for a global while a scenario runs, for code that has kept the global
 * itself.
 *
 * `busbar/testing/register` puts dispatchers in the place of globals, before other modules are
 * loaded. A dispatcher does what the global did; while a scenario runs, it does what has replaced
 * the global for it.
 */

type Constructor = new (...args: unknown[]) => object;
type Call = (this: unknown, ...args: unknown[]) => unknown;

/** By name of the global, while a scenario runs. */
const replacements = new Map<string, unknown>();

/** A global was replaced, or is as before (undefined). */
export function noteReplacement(name: string, value: unknown): void {
  if (value === undefined) replacements.delete(name);
  else replacements.set(name, value);
}

/** A class that makes what the class does that has replaced it. */
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

/** A function that calls the one that has replaced it. */
export function dispatchFunction<Function_>(name: string, original: Function_): Function_ {
  const dispatcher = new Proxy(original as unknown as Call, {
    apply(target, self, args) {
      const present = (replacements.get(name) ?? target) as Call;
      return Reflect.apply(present, self, args);
    },
  });
  return dispatcher as unknown as Function_;
}

/** An object like `Atomics`, each of whose functions calls the one of what has replaced it. */
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
