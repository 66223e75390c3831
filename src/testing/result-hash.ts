// SPDX-License-Identifier: MIT
/** Model checker: compares results of threads by value. */

/** Most parts of a result that are compared. */
const PARTS_MAX = 500;

/**
 * Text that is equal for two results which no `check` can tell apart; undefined if that is unknown
 * for parts of the result.
 */
export function textOfResult(result: unknown): string | undefined {
  let parts = 0;
  const text = (value: unknown): string | undefined => {
    if (++parts > PARTS_MAX) return undefined;
    if (value === null || value === undefined || typeof value === 'boolean') return String(value);
    if (typeof value === 'number') return Object.is(value, -0) ? '-0' : `${value}`;
    if (typeof value === 'string') return JSON.stringify(value);
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value !== 'object') return undefined;
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Array.prototype && prototype !== Object.prototype) return undefined;
    const open = prototype === Array.prototype ? '[' : '{';
    const entries: string[] = [];
    for (const key of Reflect.ownKeys(value)) {
      const entry = Object.getOwnPropertyDescriptor(value, key) as PropertyDescriptor;
      if (typeof key !== 'string' || entry.get !== undefined || entry.set !== undefined)
        return undefined;
      const inner = text(entry.value);
      if (inner === undefined) return undefined;
      entries.push(`${JSON.stringify(key)}:${inner}`);
    }
    return `${open}${entries.join()}`;
  };
  return text(result);
}
