// SPDX-License-Identifier: MIT
/**
 * Test tool: interrupts this thread before one of its accesses to shared memory, by a death, by an
 * exception, or by other threads.
 *
 * The library looks up `Atomics` at each access, so a replacement sees all of them.
 */

type Call = (...args: unknown[]) => unknown;

/** Sees one access: the function of `Atomics`, and the word. */
type Look = (name: string, words: Int32Array, index: number) => void;

/** For what must not be counted. */
export const realAtomics: typeof Atomics = globalThis.Atomics;

/** `Atomics` with these functions called before and after each access. */
function watched(atomics: typeof Atomics, before: Look, after?: () => void): typeof Atomics {
  const standIn: Record<PropertyKey, unknown> = {};
  for (const key of Reflect.ownKeys(atomics)) {
    const member: unknown = Reflect.get(atomics, key);
    standIn[key] = typeof member !== 'function' ? member : watch(String(key), member as Call);
  }
  function watch(name: string, call: Call): Call {
    return (...args) => {
      before(name, args[0] as Int32Array, args[1] as number);
      const result = call(...args);
      after?.();
      return result;
    };
  }
  return standIn as unknown as typeof Atomics;
}

/** Runs `body` with `before` called ahead of each of its accesses, and `after` after it. */
export function watchAccesses(before: Look, body: () => void, after?: () => void): void {
  const outer = globalThis.Atomics;
  globalThis.Atomics = watched(outer, before, after);
  try {
    body();
  } finally {
    globalThis.Atomics = outer;
  }
}

/**
 * Calls `happen` just before the k-th access of this thread from now on; of those by one function,
 * if it is named. It may stop the thread, or throw; if it returns, the access is made. From then on
 * the thread runs at full speed.
 */
export function atAccess(k: number, happen: () => void, only?: keyof Atomics): void {
  let left = k;
  globalThis.Atomics = watched(realAtomics, (name) => {
    if ((only !== undefined && name !== only) || --left !== 0) return;
    globalThis.Atomics = realAtomics;
    happen();
  });
}

/** What {@link atAccess} waits for will not happen. */
export function clearAccess(): void {
  globalThis.Atomics = realAtomics;
}

/**
 * Ends `body` before its k-th access, for good: each access after that throws as well, and what
 * handlers of exceptions still write into `memory` is taken back. False: it has fewer accesses.
 */
export function dieAt(
  k: number,
  body: () => void,
  memory: readonly ArrayBufferLike[] = [],
): boolean {
  const death = { what: 'death' };
  let count = 0;
  let left: Uint8Array[] | undefined;
  try {
    watchAccesses(() => {
      if (++count < k) return;
      left ??= memory.map((block) => new Uint8Array(block).slice());
      throw death;
    }, body);
  } catch (error) {
    if (left === undefined) throw error;
  }
  if (left === undefined) return false;
  for (const [i, block] of memory.entries()) new Uint8Array(block).set(left[i]);
  return true;
}

/**
 * Throws what a full stack throws, once, before the k-th access, to one of the blocks if there are
 * any. False: `body` has fewer.
 */
export function throwAt(k: number, body: () => void, blocks?: readonly ArrayBufferLike[]): boolean {
  const failure = new RangeError('Maximum call stack size exceeded');
  let count = 0;
  try {
    watchAccesses((_, words) => {
      if (blocks !== undefined && !blocks.includes(words.buffer)) return;
      if (++count === k) throw failure;
    }, body);
  } catch (error) {
    if (error !== failure) throw error;
  }
  return count >= k;
}

/** Runs `others` before the k-th access, while `body` stands still. False: it has fewer. */
export function pauseAt(k: number, others: () => void, body: () => void): boolean {
  let count = 0;
  watchAccesses(() => {
    if (++count !== k) return;
    uncounted(others);
  }, body);
  return count >= k;
}

/** Runs `others` before and after each access of `body`. */
export function pauseAtEach(others: () => void, body: () => void): void {
  const pause = (): void => uncounted(others);
  watchAccesses(pause, body, pause);
}

/** Runs `body` as a thread that then ends: the engine forgets what it has waited for. */
export function asEndedThread(body: () => void): void {
  const waits: [Int32Array, number][] = [];
  try {
    watchAccesses((name, words, index) => {
      if (name === 'waitAsync') waits.push([words, index]);
    }, body);
  } finally {
    for (const [words, index] of waits) realAtomics.notify(words, index);
  }
}

/** Calls `others` with the real `Atomics`. */
function uncounted(others: () => void): void {
  const own = globalThis.Atomics;
  globalThis.Atomics = realAtomics;
  others();
  globalThis.Atomics = own;
}
