// SPDX-License-Identifier: MIT
/** Test tool: what threads that use one synchronization primitive are told, and tell. */

import type { BufferPoolHandle } from 'busbar/pool';
import type { SeqLockHandle, SyncHandle } from 'busbar/sync';

/** Given to each worker. */
export interface SyncTask {
  readonly pool: BufferPoolHandle;
  readonly sync: SyncHandle | SeqLockHandle;
  /** Others of its kind. */
  readonly more: readonly SyncHandle[];
  readonly board: SharedArrayBuffer;
  /** Its number among the workers; its uses are counted at DONE + id. */
  readonly id: number;
  readonly seed: number;
  /** Takes what there is, once, and blocks for ever. */
  readonly isHolder: boolean;
  /** Threads are ended while they use it. */
  readonly mayDie: boolean;
  /** A holder of a read-write lock writes. */
  readonly writes: boolean;
}

// Words of the board.
/** Not 0: stop. */
export const STOP = 0;
/** Two words that are equal whenever no thread is between its two writes. */
export const FIRST = 1;
export const SECOND = 2;
/** Threads inside at once. */
export const INSIDE = 3;
/** How often a thread was told that the last holder died. */
export const HEIRS = 4;
/** How often a wait was given up. */
export const GIVEN_UP = 5;
/** First of one word per worker. */
export const DONE = 16;
/** First of one word for each of many primitives. */
export const MADE = 256;
/** First of one word for each of many countdowns: threads that are counted. */
export const JOINED = 512;
/** This many signals of a tree are used, of which each has one of these words. */
export const SIGNALS = 768;
/** From one of them to the next: far enough that the tree has four levels. */
export const SIGNAL_STEP = 50;
export const BOARD_WORDS = 1024;
