// SPDX-License-Identifier: MIT
/** Test tool: the commands and replies between a test and the executors of its group. */

/** Given to each executor as its data. */
export interface Plan {
  /** Words that the test and all executors share. */
  readonly words: SharedArrayBuffer;
  /** What the module does at its start. */
  readonly start?: 'throw' | 'reject' | 'hang' | 'exit';
  /** The executor to which `start` applies; default: all. */
  readonly who?: number;
  /** How it reads its mailbox; default: by a handler. */
  readonly reads?: 'handler' | 'loop' | 'poll' | 'never';
  /** What it does when the signal aborts or in its last moments. */
  readonly last?: 'send' | 'throw' | 'hang' | 'meet';
}

// Words.
/** Executors block on this one, or turn no more until it is set. */
export const GATE = 0;
/** How many have come to the gate. */
export const AT_GATE = 1;
/** Packets that were seen, by all. */
export const SEEN = 2;
/** Packets that came out of order. */
export const ASTRAY = 3;
/** Modules that were started. */
export const STARTS = 4;
/** Steps of packets' ways that were not taken, because a lane was full. */
export const REFUSED = 5;
/** First of a word for each key: the last number seen. */
export const LAST_OF_KEY = 16;
export const WORDS = 64;

// Counters of each executor.
export const HANDLED = 0;
export const DEFERRED = 1;
export const ABORTED = 2;
export const POLLS = 3;

/** What an executor says when it was told to throw. */
export const TOLD_TO_THROW = 'told to throw';
