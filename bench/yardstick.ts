// SPDX-License-Identifier: MIT
/**
 * Measures the current speed of the core, by the same short loop before and after each timed run.
 *
 * A shared machine can slow down by half and more for tens of milliseconds, without any counter of
 * its system showing it: another machine uses the other half of the core, or its
 * caches.
 */

/** Bytes to either side of the word, so that nothing else can share its cache line. */
const APART_BYTES = 256;
const WORD = APART_BYTES / Int32Array.BYTES_PER_ELEMENT;
const LOOKS = 2000;
const NS_PER_MS = 1e6;

const words = new Int32Array(new SharedArrayBuffer(2 * APART_BYTES));

/** Performs `count` atomic additions to a word that no other thread touches. */
export function addAtomically(count: number): number {
  for (let i = 0; i < count; i++) Atomics.add(words, WORD, 1);
  return words[WORD];
}

/** What one atomic addition takes now, in nanoseconds. Lasts some 40 µs. */
export function yardstickNs(): number {
  const beganMs = performance.now();
  addAtomically(LOOKS);
  return ((performance.now() - beganMs) * NS_PER_MS) / LOOKS;
}

/** Until the loop is compiled. */
export function warmUpYardstick(): void {
  for (let i = 0; i < 100; i++) yardstickNs();
}
