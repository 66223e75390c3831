// SPDX-License-Identifier: MIT
/** Model checker: what a user writes to have a structure's operations checked. */

import type {
  DeadThread,
  ModelOptions,
  ModelReport,
  ModelThread,
  Outcome,
  WordPredicate,
} from './scenario.ts';

/**
 * A structure in shared memory, its operations, and what they do when they come one at a time.
 *
 * `Subject` is what operations are called on, in each thread.
 */
export interface Structure<Shared, Subject = Shared> {
  readonly name: string;
  /** Makes the shared memory, as in a scenario. */
  setup(): Shared;
  /**
   * What this thread calls operations on, made before any of them; by default what `setup`
   * returned. It happens without interruption.
   */
  attach?(shared: Shared, self: ModelThread, role: string): Subject;
  /**
   * The same structure for one thread: a class, or a function that returns an object. It has a
   * method for each operation, with the same arguments and then the name of the thread; it returns
   * or throws what the operation does (of an error the `code` counts, or the name), or
   * {@link BLOCKED} where the operation would wait. {@link choose} leaves a choice open.
   */
  readonly sequential: (new () => object) | (() => object);
  /** Operations by name. A function makes arguments: `push: (random) => [random.below(3)]`. */
  readonly operations: Readonly<Record<string, Operation<Subject> | ArgumentMaker>>;
  /** Kinds of threads, where not every thread may do everything. */
  readonly roles?: Readonly<Record<string, Role>>;
  /**
   * Puts right what a dead thread left, in a thread of its own. A method `recover(name)` of the
   * sequential model says what that does; without one it is no operation.
   */
  recover?(shared: Shared, dead: DeadThread, self: ModelThread): unknown;
  /** What can be seen when all has ended; the sequential model's `final()` returns the same. */
  final?(shared: Shared): unknown;
  /** As in a scenario. */
  check?(shared: Shared, outcome: Outcome): void;
  racy?(shared: Shared): WordPredicate;
  nameWord?(shared: Shared): (block: number, word: number) => string | undefined;
}

/** Arguments of an operation: the same ones for the same seed. */
export type ArgumentMaker = (random: ArgumentSource) => readonly unknown[];

export interface ArgumentSource {
  /** An integer in `[0, bound)`. */
  below(bound: number): number;
  /** 1, 2, 3, … in one scenario: a value that was not there before. */
  unique(): number;
}

export interface Operation<Subject> {
  /** Default: no arguments. */
  readonly args?: ArgumentMaker;
  /**
   * Default: the method of the same name. May be async. What it returns is compared by value, and
   * so is the code or name of what it throws.
   */
  run?(subject: Subject, ...args: never[]): unknown;
  /** Which role's threads do it; default all. */
  readonly role?: string;
  /** It may wait for others, so nothing is prepared with it, and its thread may wait at the end. */
  readonly waits?: boolean;
  /**
   * A result that says "not now" and changes nothing. It is accepted whenever another operation
   * overlaps; alone, the operation must do what the sequential model does.
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

/** What one thread does. */
export interface PlannedThread {
  readonly role?: string;
  /** Done before the threads meet, thread by thread. */
  readonly before?: readonly Call[];
  readonly operations: readonly Call[];
}

/** Options of {@link linearizable}. */
export interface LinearizableOptions extends ModelOptions {
  /** Which scenarios chance makes, an integer from 0 to 2³² − 1; default 1. */
  readonly seed?: number;
  /** How many of them; default 40. */
  readonly scenarios?: number;
  /** Most threads of a scenario; default 2. */
  readonly threads?: number;
  /** Operations of each thread; default 3. */
  readonly operations?: number;
  /** Most operations before the threads meet; default 2. */
  readonly before?: number;
  /** This scenario instead of any that chance makes: as a failure prints it. */
  readonly scenario?: readonly PlannedThread[];
  /** This schedule of `scenario` instead of all of them. */
  readonly schedule?: string;
}

export interface LinearizableReport extends ModelReport {
  /** Scenarios that were explored, those of the search for a smaller one not counted. */
  readonly scenarios: number;
  /** Different histories that were judged. */
  readonly histories: number;
  /** The scenario that failed. */
  readonly failed?: readonly PlannedThread[];
}
