// SPDX-License-Identifier: MIT
/**
 * Test tool: interrupts an operation before its k-th atomic access by a death, by an exception, or
 * by other threads.
 */

type Call = (...args: unknown[]) => unknown;

/** Runs `operation` with `before` called ahead of each of its atomic accesses. */
function withAtomics(before: (words: Int32Array) => void, operation: () => void): void {
  const real = globalThis.Atomics;
  const stand: Record<PropertyKey, unknown> = {};
  for (const name of Reflect.ownKeys(real)) {
    const method = Reflect.get(real, name) as Call;
    stand[name] =
      typeof method !== 'function'
        ? method
        : (...args: unknown[]) => {
            before(args[0] as Int32Array);
            return method.apply(real, args);
          };
  }
  globalThis.Atomics = stand as unknown as typeof Atomics;
  try {
    operation();
  } finally {
    globalThis.Atomics = real;
  }
}

/**
 * Ends the operation before its k-th atomic access, for good: what handlers of exceptions still
 * write is taken back. False: it has fewer.
 */
export function dieAt(
  k: number,
  memory: readonly ArrayBufferLike[],
  operation: () => void,
): boolean {
  const death = { what: 'death' };
  let count = 0;
  let left: Uint8Array[] | undefined;
  try {
    withAtomics(() => {
      if (++count < k) return;
      left ??= memory.map((block) => new Uint8Array(block).slice());
      throw death;
    }, operation);
  } catch (error) {
    if (left === undefined) throw error;
  }
  if (left === undefined) return false;
  for (const [i, block] of memory.entries()) new Uint8Array(block).set(left[i]);
  return true;
}

/**
 * Throws what a full stack throws, once, before the k-th access to one of the blocks. False: the
 * operation has fewer.
 */
export function throwAt(
  k: number,
  blocks: readonly ArrayBufferLike[],
  operation: () => void,
): boolean {
  const failure = new RangeError('Maximum call stack size exceeded');
  let count = 0;
  try {
    withAtomics((words) => {
      if (blocks.includes(words.buffer) && ++count === k) throw failure;
    }, operation);
  } catch (error) {
    if (error !== failure) throw error;
  }
  return count >= k;
}

/** Runs `others` before the k-th access, while the operation stands still. False: it has fewer. */
export function pauseAt(k: number, others: () => void, operation: () => void): boolean {
  let count = 0;
  withAtomics(() => {
    if (++count !== k) return;
    others();
  }, operation);
  return count >= k;
}
