// SPDX-License-Identifier: MIT
/** The types of stamp.mjs, for its test. */
export declare class Stamp {
  constructor(name: string, inputs: readonly string[], outputs: readonly string[]);
  isFresh(): boolean;
  forget(): void;
  write(): void;
}
