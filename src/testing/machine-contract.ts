// SPDX-License-Identifier: MIT
/**
 * Model checker: the interface between the machine and choosers: threads, limits, and the parts of
 * the machine that a chooser reads.
 */

import type { Contention } from './contention.ts';
import type { StateLayout } from './machine-layout.ts';
import type { ModelMemory } from './memory.ts';
import type { LeftOut } from './omissions.ts';
import type { FailureKind, ModelThread } from './scenario.ts';
import type { SpinWatch } from './spins.ts';
import type { WaiterTable } from './waiters.ts';

/** Instead of a transition: nothing can move, or nothing should. */
export const STOP = -1;
/** Instead of a transition: choose again after it is found out whether a thread spins for ever. */
export const PROBE = -2;

/** What the machine provides to a thread's body; the rest is built on it. */
export type BareThread = Omit<ModelThread, 'spawn' | 'parentPort' | 'workerData'>;

/** Decides what happens next. */
export interface Chooser {
  /**
   * The next transition, STOP or PROBE. `current` is the thread that would continue, or −1. Records
   * the transition in the path.
   */
  choose(current: number): number;
  /** True if the thread dies here. */
  kill(thread: number): boolean;
  /** True if the call that the thread is about to make throws. */
  throwAt(thread: number): boolean;
  /**
   * Which of `count` values the thread's read returns: 0 is the last write. −1: the one that a
   * schedule promises.
   */
  read(thread: number, count: number): number;
}

/** Chooses during a probe: any choice ends it. */
export const PROBER: Chooser = {
  choose: () => STOP,
  kill: () => false,
  throwAt: () => false,
  read: () => 0,
};

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
  readonly memory: 'sequential' | 'es';
  readonly weakReads: number;
}

/** What went wrong in a run. */
export interface MachineFailure {
  readonly kind: FailureKind;
  readonly message: string;
  readonly error?: unknown;
  readonly cell?: number;
  /** Of a lost wake-up: the waiting threads, each with its word, which has changed. */
  readonly missed?: readonly { readonly thread: number; readonly cell: number }[];
}

/** The parts of a machine that determine what can happen next. */
export interface MachineParts {
  readonly state: Int32Array;
  readonly layout: StateLayout;
  readonly memory: ModelMemory;
  readonly waiters: WaiterTable;
  readonly contention: Contention;
  readonly spins: SpinWatch;
  readonly limits: MachineLimits;
  readonly leftOut: Set<LeftOut>;
  readonly threads: readonly MachineThread[];
}
