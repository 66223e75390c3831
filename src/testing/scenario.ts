// SPDX-License-Identifier: MIT
/** Model checker: what a user writes (scenario, options) and what comes back (report, failure). */

import type { LeftOut } from './omissions.ts';
import type { Place } from './places.ts';

/** Several threads on some shared memory, and what must hold when all have ended. */
export interface Scenario<Shared> {
  readonly name: string;
  /**
   * Makes the shared memory, once. What it returns is handed to every thread: handles and typed
   * arrays on shared memory, never an object that a thread changes on the JavaScript heap.
   */
  setup(): Shared;
  /**
   * The threads by name. Deterministic: a body may depend only on `shared` words, and runs many
   * times.
   */
  readonly threads: Readonly<Record<string, ThreadBody<Shared>>>;
  /** Threads that others begin, with {@link ModelThread.spawn}, by name. */
  readonly spawned?: Readonly<Record<string, ThreadBody<Shared>>>;
  /** Runs once for each thread that was killed, in a thread of its own, after the death. */
  supervisor?(shared: Shared, dead: DeadThread, self: ModelThread): unknown;
  /** Which threads may be killed; by default all of `threads` and `spawned`. */
  readonly killable?: readonly string[];
  /**
   * Threads that prepare: they call `self.begin()`; 'supervisor' stands for all supervisors.
   * Default none.
   */
  readonly prepares?: readonly string[];
  /**
   * Threads that may still wait when no thread can run any more, such as servers.
   * {@link Outcome.waiting} names those that do. Default none.
   */
  readonly mayWait?: readonly string[];
  /**
   * Runs after every schedule, when no thread can run any more. Throws if something is wrong. Its
   * writes are undone.
   */
  check?(shared: Shared, outcome: Outcome): void;
  /** True for words whose plain accesses may race: hints that the program also verifies. */
  racy?(shared: Shared): WordPredicate;
  /** Names for traces. */
  nameWord?(shared: Shared): (block: number, word: number) => string | undefined;
}

/** One thread: runs to its end, or returns a promise. */
export type ThreadBody<Shared> = (shared: Shared, self: ModelThread) => unknown;

/**
 * `block` counts the SharedArrayBuffers that setup made, from 0; `word` counts 32-bit words from
 * its begin.
 */
export type WordPredicate = (block: number, word: number) => boolean;

/** What a body knows about the thread it runs in. */
export interface ModelThread {
  readonly name: string;
  /**
   * Ends the preparations of a thread that the scenario's `prepares` names: all its accesses before
   * happen without interruption, thread by thread in the order in which the scenario names them.
   */
  begin(): void;
  /**
   * Runs a step as at the end of a deep recursion: with `exceptions`, any call that it makes may
   * throw.
   */
  deeply<Result>(step: () => Result): Result;
  /** Leaves a value for the supervisor, as a `postMessage` before death would. */
  publish(value: unknown): void;
  /**
   * Starts a thread that the scenario's `spawned` names, as `new Worker` does; `data` is its
   * `workerData`. It happens after what this thread did before.
   */
  spawn(name: string, data?: unknown): SpawnedThread;
  /** In a thread that another one started: the port to that one; else null. */
  readonly parentPort: ThreadPort | null;
  /** In a thread that another one started: a copy of the data it was started with. */
  readonly workerData: unknown;
}

/** A started thread, for the thread that started it: messages of its parentPort arrive here. */
export type SpawnedThread = Pick<ThreadPort, 'postMessage' | 'on' | 'once' | 'off'>;

/** A MessagePort of the model: what `new MessageChannel()` gives while a scenario runs. */
export interface ThreadPort {
  /** Posts a copy. Ports are transferred to the receiver, and must be in `transfer`. */
  postMessage(message: unknown, transfer?: readonly unknown[]): void;
  on(event: 'message', listener: (message: unknown) => void): this;
  once(event: 'message', listener: (message: unknown) => void): this;
  off(event: 'message', listener: (message: unknown) => void): this;
  start(): void;
  close(): void;
}

/** The dead thread, as its supervisor receives it. */
export interface DeadThread {
  readonly name: string;
  readonly published: readonly unknown[];
}

/** How a schedule ended, for {@link Scenario.check}. */
export interface Outcome {
  /** What each thread returned that has ended, or what its promise was fulfilled with. */
  readonly results: Readonly<Record<string, unknown>>;
  readonly killed: readonly string[];
  /** Threads that {@link Scenario.mayWait} names and that wait. */
  readonly waiting: readonly string[];
}

/**
 * Bounds of an exploration. What lies outside of them is not checked; the report says which were
 * reached.
 */
export interface ModelOptions {
  /** The number of preemptions: a thread is taken off that could continue. Default unlimited. */
  readonly preemptions?: number;
  /** How many threads may be killed in one schedule; default 0. */
  readonly kills?: number;
  /**
   * How often time passes for one thread while others could still run, default 1: a wait or timer
   * ends by it, or the clock has advanced when the thread looks.
   */
  readonly timeouts?: number;
  /**
   * Where a thread may die: before every access ('anywhere'), or only where an engine does end a
   * thread ('calls'): before it calls a function of `Atomics` or of a shared view, and where it
   * calls {@link mayDie}, which belongs at function entries and at the back edges of loops. Plain
   * accesses that follow a call with no other call between are then done with it, or not at all.
   *
   * Of deaths between which the thread changed nothing, only the first is tried. Default
   * 'anywhere'.
   */
  readonly deaths?: 'anywhere' | 'calls';
  /**
   * How many calls throw in one schedule, as they do when the stack is full; default 0. Any call
   * may that a thread makes {@link ModelThread.deeply | deeply} and where `deaths: 'calls'` could
   * end it. A body continues if it catches the RangeError; one that does not has failed.
   */
  readonly exceptions?: number;
  /** How often time may pass for a thread after that when no thread can run; default 12. */
  readonly polls?: number;
  /**
   * Consecutive reads without a new value after which a thread spins; default 2. Other threads then
   * run before its loop or after it, not between its rounds, until a word that it reads changes.
   * Only the number of rounds of a loop is left out so.
   */
  readonly spins?: number;
  /** Accesses of one thread in one schedule after which it counts as a livelock; default 2000. */
  readonly steps?: number;
  /**
   * How words behave that the scenario declares {@link Scenario.racy | racy}. 'sequential': reads
   * return the last write. 'es': what ECMAScript's memory model allows, so that plain reads may
   * also return an older write, or one that is made later. All others are the same by both, since
   * a data race is a failure. Default 'sequential'.
   */
  readonly memory?: 'sequential' | 'es';
  /**
   * With `memory: 'es'`, how many reads in one schedule may return another write than the last;
   * default unlimited.
   */
  readonly weakReads?: number;
  /** Look for data races; default true. False makes fewer states. */
  readonly races?: boolean;
  /** States after which the exploration gives up, incomplete; default 4 million. */
  readonly states?: number;
  /**
   * Random schedules that {@link explore} begins with; default 24. They find out which words are
   * contended.
   */
  readonly warmUp?: number;
  /** Schedules after which the exploration gives up, incomplete; default unlimited. */
  readonly schedules?: number;
  /** Time after which the exploration gives up, incomplete; default unlimited. */
  readonly milliseconds?: number;
  /** Called about every two seconds with the progress. */
  readonly progress?: (progress: ModelProgress) => void;
  /**
   * Notes which pairs of accesses were met in both orders, for {@link ModelReport.coverage}; takes
   * many times as long. Default false.
   */
  readonly coverage?: boolean;
  /**
   * {@link explore} and {@link resume} only: where checkpoints go, every half minute and when a
   * limit ends the exploration; the path of a file, or a function that takes the bytes. A
   * checkpoint has 9 bytes for each state, and the present schedule. Not with `memory: 'es'` or
   * `coverage`.
   */
  readonly checkpoint?: string | ((bytes: Uint8Array) => void);
}

/** Options of {@link sample}. */
export interface SampleOptions extends Omit<ModelOptions, 'checkpoint'> {
  /** The seed of the random schedules, an integer from 0 to 2³² − 1; default 1. */
  readonly seed?: number;
  /** Points in a schedule at which the running thread loses its priority; default 3. */
  readonly changes?: number;
}

/** The progress of an exploration. */
export interface ModelProgress {
  readonly scenario: string;
  readonly schedules: number;
  readonly states: number;
  readonly elapsedMs: number;
}

/**
 * Pairs of accesses, by their places in the program, that different threads made to one word and
 * of which one writes.
 */
export interface PairCoverage {
  /** How many were met in both orders. */
  readonly both: number;
  /** Those that were met in one order only: because the program orders them, or by the bounds. */
  readonly oneOrder: readonly AccessPair[];
}

/** Two accesses, in the order in which they came: file and line. */
export interface AccessPair {
  readonly first: string;
  readonly second: string;
}

/** `misuse`: the scenario, or what it does, cannot be checked. */
export type FailureKind =
  | 'assertion'
  | 'data race'
  | 'deadlock'
  | 'livelock'
  | 'lost wake-up'
  | 'misuse'
  | 'not deterministic'
  | 'not linearizable';

/** What went wrong, and how to see it again. */
export interface Failure {
  readonly kind: FailureKind;
  readonly message: string;
  /** For {@link replay}. */
  readonly schedule: string;
  /** One line per access, in order, with a column for each thread. */
  readonly trace: string;
  /** The same as data. */
  readonly steps?: readonly TraceStep[];
  /** The options with which it was found. */
  readonly options?: ModelOptions;
  /** A call that runs the schedule again, to paste into a program. */
  readonly replay?: string;
  readonly error?: unknown;
}

/** One line of a trace: an access of a thread, or something that happens to it. */
export interface TraceStep {
  /** Counts accesses of the schedule from 1. */
  readonly number: number;
  readonly thread: string;
  /** False for an event of the thread: a death, an interruption, a notification. */
  readonly isAccess: boolean;
  readonly action: string;
  /** The word or byte, or empty. */
  readonly word: string;
  /** True if the failure is about this word. */
  readonly marked: boolean;
  /** Accesses before it, not shown, that returned no new value. */
  readonly skipped: number;
  /** Where in the program, the innermost function first. */
  readonly places: readonly Place[];
}

/** What a run has explored. */
export interface ModelReport {
  readonly scenario: string;
  /** True if every interleaving was covered, and nothing left out. */
  readonly complete: boolean;
  /** Why it is not complete although nothing failed; `expectPassed` explains each. */
  readonly leftOut: readonly LeftOut[];
  /** {@link explore} only: the largest number of preemptions that was covered; −1: none. */
  readonly covered: number;
  /** Runs to an end, or to a state that is known. */
  readonly schedules: number;
  /** Schedules that ran to their end and were checked. */
  readonly ended: number;
  readonly states: number;
  /** Context switches, kills and time-outs executed. */
  readonly transitions: number;
  /** Schedules in which a thread was killed. */
  readonly kills: number;
  /** Schedules in which a call threw. */
  readonly exceptions: number;
  /** {@link replay} only: the schedule does not fit: code or scenario have changed. */
  readonly diverged: boolean;
  readonly elapsedMs: number;
  /** With `coverage: true`. */
  readonly coverage?: PairCoverage;
  readonly failure?: Failure;
}
