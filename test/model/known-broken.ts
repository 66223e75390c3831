// SPDX-License-Identifier: MIT
/**
 * Faults of the library that are known and not mended yet, by test file and scenario: each of these
 * scenarios must fail, so that it is noticed when one does not any more, and its line here goes.
 */

const TORN = 'recover() does not know each state that a death between two calls leaves';

export const KNOWN_BROKEN: Readonly<Record<string, ReadonlyMap<string, string>>> = {
  writer: new Map([
    ['death: shared writer, 2 threads', TORN],
    ['death: shared writer, 2 buffers', TORN],
  ]),
};
