// SPDX-License-Identifier: MIT
/**
 * The check for free stack before the first write of a change that must be done completely or not
 * at all.
 *
 * A call may throw a RangeError, "Maximum call stack size exceeded", before its callee has run. A
 * program may recurse deeply, call this library at the end, catch the error further out and go on.
 * So code that changes several shared words either makes its last call before its first write, or
 * calls a check of this file first. A check that throws has changed nothing.
 *
 * How it works: a call puts its arguments on the stack, and the engine first checks that all of
 * them fit. So a call with n arguments from an array needs n words of stack, whether interpreted,
 * compiled or inlined; the stack that a recursion needs depends on the compiler. (Atomics and other
 * built-ins need next to none.) A function that contains a call with n written arguments needs n
 * words at its entry, even if it never makes the call: an interpreted frame has a register for each
 * of them, and compiled code checks for the interpreted frame, to which it may have to return.
 */

/**
 * Stack for a part of a rare path. V8 compiles a function at its first call, and again after long
 * disuse, and needs 40 KiB of stack for that (Node 20 to 26, measured 2026-11: stack.test.ts);
 * 8 KiB hold some 60 interpreted frames. On 64-bit machines.
 */
const PART_WORDS = (48 * 1024) / 8;
/** Stack for a rare path, whose parts may check again. */
const PATH_WORDS = (56 * 1024) / 8;

const partArguments: readonly number[] = zeros(PART_WORDS);
const pathArguments: readonly number[] = zeros(PATH_WORDS);

/** Holds 0. Shared memory, so that no compiler and no bundler takes it for a constant. */
const never = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/**
 * Throws RangeError unless there are 56 KiB of stack left: then no call on a path of ordinary depth
 * overflows, not even one of a function that was never called before.
 *
 * **Cost** 2 to 5 µs: for paths that wait, attach or close, not for those taken per message.
 * `isWarm`: the path has run a short time ago, so {@link ensureStep} is enough.
 */
export function ensureStack(isWarm: boolean = false): void {
  if (isWarm) {
    ensureStep();
    return;
  }
  Reflect.apply(doNothing, undefined, pathArguments);
}

/**
 * {@link ensureStack} for a part of paths that may have been checked before: never throws on one of
 * those, which may have changed half of their words by then. Throws unless there are 48 KiB left.
 */
export function ensurePart(): void {
  Reflect.apply(doNothing, undefined, partArguments);
}

/**
 * Throws RangeError unless there are 4 KiB of stack left, twice what a flush or a drain needs: for
 * a step that calls only functions which have run before, so that they are compiled. (With 1 KiB a
 * claim was left behind once in a test; with 4 KiB none was seen.)
 *
 * **Cost** 2 ns, compiled: a call that returns at once.
 */
export function ensureStep(): void {
  if (never[0] === 0) return;
  // biome-ignore format: 512 words, 16 lines of 32
  takeWords(
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  );
}

function doNothing(..._words: readonly number[]): void {}

/** Never called. It has an effect, since bundlers leave out calls of an empty function. */
function takeWords(...words: readonly number[]): void {
  never[0] = words.length;
}

function zeros(count: number): number[] {
  return Array.from({ length: count }, () => 0);
}
