// SPDX-License-Identifier: MIT
/** `busbar/testing`: a model checker for JavaScript threads that share memory. */
/// <reference types="node" preserve="true" />

export { type Allowance, expectPassed, explore, replay, resume, sample } from './check.ts';
export { hintsOf, type SharedHandle } from './hints.ts';
export { linearizable } from './linearizable.ts';
export { mayDie } from './mortal-point.ts';
export type { LeftOut } from './omissions.ts';
export type { Place } from './places.ts';
export { type FormatOptions, formatFailure } from './report.ts';
export type {
  AccessPair,
  DeadThread,
  Failure,
  FailureKind,
  ModelOptions,
  ModelProgress,
  ModelReport,
  ModelThread,
  Outcome,
  PairCoverage,
  SampleOptions,
  Scenario,
  SpawnedThread,
  ThreadBody,
  ThreadPort,
  TraceStep,
  WordPredicate,
} from './scenario.ts';
export { BLOCKED, choose } from './sequential.ts';
export type {
  ArgumentMaker,
  ArgumentSource,
  Call,
  LinearizableOptions,
  LinearizableReport,
  Operation,
  PlannedThread,
  Role,
  Structure,
} from './structure.ts';
