// SPDX-License-Identifier: MIT
/**
 * Test tool: the words that the worker of the compound-step test writes and its supervisor reads.
 */

/** The worker's thread slot, plus one. */
export const SLOT = 0;
export const ROUNDS = 1;
export const TOTAL = 2;
export const ACCOUNT = 3;
export const OWNER = 4;
export const LEFT = 5;
export const SHARE = 6;
export const FIRST = 7;
export const SECOND = 8;
/** Added to between the stores to FIRST and SECOND. */
export const STEPS = 9;
/** Four words of a reference in transit. */
export const SENT = 12;
/** Written by two calls of Atomics, one after the other. */
export const CALLED_FIRST = 16;
export const CALLED_SECOND = 17;
/** Written by a call of Atomics and two plain stores behind it. */
export const CALLED = 18;
export const BEHIND = 19;
export const FURTHER_BEHIND = 20;
export const COMPOUND_WORDS = 24;
