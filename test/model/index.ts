// SPDX-License-Identifier: MIT
/** Model checker for shared-memory JavaScript: see README.md in this folder. */

export { expectPassed, explore, replay, sample } from './check.ts';
export { mortal } from './mortal.ts';
export { formatFailure } from './report.ts';
export type {
  DeadThread,
  Failure,
  FailureKind,
  ModelOptions,
  ModelReport,
  ModelThread,
  Outcome,
  SampleOptions,
  Scenario,
  ThreadBody,
  WordPredicate,
} from './scenario.ts';
