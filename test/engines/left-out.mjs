// SPDX-License-Identifier: MIT
/** Tests that an engine does not run, and why. `engines` and `file` are the beginnings of names. */

export const LEFT_OUT = [];

/** The reason why a test, or with no name a whole file, is left out; undefined if it is not. */
export function whyLeftOut(engine, file, test) {
  return LEFT_OUT.find(
    (each) =>
      each.engines.includes(engine) &&
      file.startsWith(each.file) &&
      (each.tests === undefined || (test !== undefined && each.tests.test(test))),
  )?.reason;
}
