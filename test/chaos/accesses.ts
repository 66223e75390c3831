// SPDX-License-Identifier: MIT
/**
 * Test tool: calls a function just before the k-th access of this thread to shared memory, counted
 * from now on.
 *
 * The library looks up `Atomics` at each access, so a replacement sees all of them. It is installed
 * only until then: otherwise threads run at full speed.
 */

/** For what must not be counted. */
export const realAtomics: typeof Atomics = globalThis.Atomics;

type Call = (...args: readonly unknown[]) => unknown;

/** `happen` may stop the thread, or throw; if it returns, the access is made. */
export function atAccess(count: number, happen: () => void): void {
  let left = count;
  const standIn: Record<PropertyKey, unknown> = {};
  for (const key of Reflect.ownKeys(realAtomics)) {
    const member = (realAtomics as unknown as Record<PropertyKey, unknown>)[key];
    standIn[key] = typeof member === 'function' ? counted(member as Call) : member;
  }
  function counted(call: Call): Call {
    return (...args) => {
      if (--left === 0) {
        globalThis.Atomics = realAtomics;
        happen();
      }
      return call(...args);
    };
  }
  globalThis.Atomics = standIn as unknown as typeof Atomics;
}
