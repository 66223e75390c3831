// SPDX-License-Identifier: MIT
/** Model checker: the interface of a structure for `linearizable`, and its options. */

import type {
  DeadThread,
  ModelOptions,
  ModelReport,
  ModelThread,
  Outcome,
  WordPredicate,
} from './scenario.ts';

/**
 * A structure in shared memory, its operations, and a sequential model of them.
 *
 * `Subject` is the object on which each thread calls operations.
 */
export interface Structure<Shared, Subject = Shared> {
  readonly name: string;
  /** Creates the shared memory, as in a scenario. */
  setup(): Shared;
  /**
   * Returns the object on which this thread calls operations; default the result of `setup`. Runs
   * before all operations, without interruption.
   */
  attach?(shared: Shared, self: ModelThread, role: string): Subject;
  /**
   * The same structure for one thread: a class, or a function that returns an object. It has a
   * method for each operation, with the same arguments followed by the name of the thread. It
   * returns or throws the same as the operation (errors are compared by `code`, or by name), or
   * {@link BLOCKED} if the operation would wait. {@link choose} leaves a choice open.
   */
  readonly sequential: (new () => object) | (() => object);
  /** Operations by name. A function returns arguments: `push: (random) => [random.below(3)]`. */
  readonly operations: Readonly<Record<string, Operation<Subject> | ArgumentMaker>>;
  /** Kinds of threads, if not every thread may call every operation. */
  readonly roles?: Readonly<Record<string, Role>>;
  /**
   * Recovers after a dead thread, in a separate thread. If the sequential model has a method
   * `recover(name)`, this counts as an operation with that effect.
   */
  recover?(shared: Shared, dead: DeadThread, self: ModelThread): unknown;
  /** The visible state at the end; the sequential model's `final()` must return the same. */
  final?(shared: Shared): unknown;
  /** As in a scenario. */
  check?(shared: Shared, outcome: Outcome): void;
  racy?(shared: Shared): WordPredicate;
  nameWord?(shared: Shared): (block: number, word: number) => string | undefined;
}

/** Returns arguments of an operation, the same ones for the same seed. */
export type ArgumentMaker = (random: ArgumentSource) => readonly unknown[];

/** Where an operation gets its arguments. */
export interface ArgumentSource {
  /** An integer in `[0, bound)`. */
  below(bound: number): number;
  /** A new value: 1, 2, 3, … in one scenario. */
  unique(): number;
}

/** One operation of a structure. */
export interface Operation<Subject> {
  /** Default: no arguments. */
  readonly args?: ArgumentMaker;
  /**
   * Default: the method of the same name. May be async. Results are compared by value, exceptions
   * by code or name.
   */
  run?(subject: Subject, ...args: never[]): unknown;
  /** The role whose threads call it; default all. */
  readonly role?: string;
  /** It may wait for others: it is not used in preparations, and its thread may wait at the end. */
  readonly waits?: boolean;
  /**
   * A result that means "not now" and changes nothing. It is accepted if another operation
   * overlaps; otherwise the operation must do the same as the sequential model.
   */
  readonly mayRefuse?: { readonly result: unknown };
}

/** A kind of thread. */
export interface Role {
  /** How many threads may have it; default any number. */
  readonly most?: number;
}

/** One call: the operation's name, then its arguments. */
export type Call = readonly [name: string, ...args: unknown[]];

/** The operations of one thread. */
export interface PlannedThread {
  readonly role?: string;
  /** Called before the threads run concurrently, thread by thread. */
  readonly before?: readonly Call[];
  readonly operations: readonly Call[];
}

/** Options of {@link linearizable}. */
export interface LinearizableOptions extends ModelOptions {
  /** Seed of the random scenarios, an integer from 0 to 2³² − 1; default 1. */
  readonly seed?: number;
  /** Number of scenarios; default 40. */
  readonly scenarios?: number;
  /** Most threads of a scenario; default 2. */
  readonly threads?: number;
  /** Operations of each thread; default 3. */
  readonly operations?: number;
  /** Most operations before the threads run concurrently; default 2. */
  readonly before?: number;
  /** Runs only this scenario, as printed in a failure. */
  readonly scenario?: readonly PlannedThread[];
  /** Runs only this schedule of `scenario`. */
  readonly schedule?: string;
}

/** What a check has found. */
export interface LinearizableReport extends ModelReport {
  /** Scenarios explored, without those of the search for a smaller one. */
  readonly scenarios: number;
  /** Different histories checked. */
  readonly histories: number;
  /** The scenario that failed. */
  readonly failed?: readonly PlannedThread[];
}
