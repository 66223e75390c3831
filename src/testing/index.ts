// SPDX-License-Identifier: MIT
/** `busbar/testing`: a model checker for JavaScript that shares memory between threads. */

export { expectPassed, explore, replay, sample } from './check.ts';
export { hintsOf, type SharedHandle } from './hints.ts';
export { mayDie } from './mortal-point.ts';
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
