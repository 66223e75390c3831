// SPDX-License-Identifier: MIT
/** The types of vitest-setup.mjs, for its test. */
export declare function setup(project: {
  onTestsRerun(listener: () => Promise<void>): void;
}): Promise<void>;
