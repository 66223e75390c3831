// SPDX-License-Identifier: MIT
/**
 * The check for free stack before the first write of a change that must be done completely or not
 * at all.
 *
 * A call may throw a RangeError, "Maximum call stack size exceeded", before its callee has run: a
 * program that recurses deeply, calls this library at the very end and catches what is thrown
 * further out goes on as if nothing had happened. So whatever changes several shared words in one
 * go either makes its last call before its first write, or asks here before it begins. What throws
 * here has changed nothing.
 *
 * How it works: a call puts its arguments on the stack, and the engine looks whether there is room
 * for all of them before it does. So a call with n arguments from an array needs n words of stack,
 * interpreted, compiled or inlined; a recursion would need as much or as little as the compiler
 * sees fit. (Atomics and other built-ins need no room worth the name.)
 */

/**
 * What a rare path calls: V8 compiles a function at its first call, and again after it was long
 * unused, and refuses to begin with less than 40 KiB of stack left (Node 20 to 26: measured
 * 2026-11, stack.test.ts); 8 KiB are some 60 interpreted frames. On 64-bit machines.
 */
const PATH_WORDS = (48 * 1024) / 8;

/**
 * What one step needs that calls nothing but functions it has called just before: a few frames.
 * With 1 KiB a claim was left behind once in a test; with 4 KiB none was seen.
 */
const STEP_WORDS = (4 * 1024) / 8;

const pathArguments: readonly number[] = zeros(PATH_WORDS);
const stepArguments: readonly number[] = zeros(STEP_WORDS);

/**
 * Throws RangeError unless there are 48 KiB of stack left: then nothing that a path of ordinary
 * depth calls overflows, functions that were never called before included.
 *
 * **Cost** 2 to 3 µs: for paths that wait, ring, attach or close, not for those taken per message.
 */
export function ensureStack(): void {
  Reflect.apply(doNothing, undefined, pathArguments);
}

/**
 * Throws RangeError unless there are 4 KiB of stack left, twice what a flush or a drain needs: for
 * a step that calls only functions which have run before, so that they are compiled.
 *
 * **Cost** about 0.2 µs: once for each batch, flush or drain.
 */
export function ensureStep(): void {
  Reflect.apply(doNothing, undefined, stepArguments);
}

function doNothing(): void {}

function zeros(count: number): number[] {
  return Array.from({ length: count }, () => 0);
}
