// SPDX-License-Identifier: MIT
/** Model checker: what the machine is given: its threads, its limits, and who chooses. */

import type { ModelThread } from './scenario.ts';

/** What the machine knows of a thread: the rest stands on it. */
export type BareThread = Omit<ModelThread, 'spawn' | 'parentPort' | 'workerData'>;

/** Decides what happens next. */
export interface Chooser {
  /**
   * The next transition, or STOP. `current` is the thread that would go on, or −1. Tells the path
   * what it takes.
   */
  choose(current: number): number;
  /** True if the thread dies here. */
  kill(thread: number): boolean;
  /** True if the call that the thread is about to make throws. */
  throwAt(thread: number): boolean;
}

export interface MachineThread {
  readonly name: string;
  readonly killable: boolean;
  /** It calls `begin()`; until then it is not interrupted. */
  readonly prepares: boolean;
  /** It may wait for ever: that is no failure. */
  readonly mayWait: boolean;
  /** It is not there until another thread begins it. */
  readonly isSpawned: boolean;
  /** Thread whose death it waits for, or −1. */
  readonly supervises: number;
  run(self: BareThread): unknown;
}

export interface MachineLimits {
  readonly kills: number;
  readonly timeouts: number;
  readonly polls: number;
  readonly spins: number;
  readonly steps: number;
  readonly races: boolean;
  readonly deaths: 'anywhere' | 'calls';
  readonly exceptions: number;
}
