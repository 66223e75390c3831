// SPDX-License-Identifier: MIT
/** Types of failures.mjs, for its test. */

/** A gate or an engine, the file and the test if there is one, and what was wrong. */
export interface Failure {
  readonly place: string;
  readonly test: string;
  readonly text: string;
}

export function failureLines(failures: readonly Failure[]): string[];
export function failuresOf(report: object, place: string): Failure[];
export function failuresIn(log: string, command: string): string[];
