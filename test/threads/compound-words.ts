// SPDX-License-Identifier: MIT
/** The words that the worker of the compound-step test writes, and its supervisor looks at. */

/** The worker's thread slot, plus one. */
export const SLOT = 0;
export const ROUNDS = 1;
export const TOTAL = 2;
export const ACCOUNT = 3;
export const STATE = 4;
export const COUNT = 5;
export const OWNER = 6;
export const LEFT = 7;
export const SHARE = 8;
export const FIRST = 9;
export const SECOND = 10;
export const BREATHS = 11;
/** Four words of a reference in transit. */
export const SENT = 12;
export const COMPOUND_WORDS = 16;
