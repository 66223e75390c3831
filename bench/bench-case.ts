// SPDX-License-Identifier: MIT
/**
 * The interface of a benchmark case, which every `*.bench.ts` file implements and `measure.ts`
 * runs.
 */

import type { BucketCount, Histogram } from './histogram.ts';

/** A case that is set up in this process and can be run again and again. */
export interface PreparedCase {
  /**
   * Performs `ops` operations and returns a number that depends on each of them, so that no
   * compiler can drop the work.
   * `ops` is a multiple of the case's `unit`.
   */
  run(ops: number): number | Promise<number>;
  /** For cases about latency: where `run` counts single operations. Only timed runs are kept. */
  readonly latencies?: Histogram;
  /** What a reader of the figures must know, found while running; empty: nothing. */
  note?(): string;
  /** Checks what was counted and releases threads and memory. */
  close(): void | Promise<void>;
}

/**
 * One benchmark case. The runner gives each its own process, so cases share neither heap nor
 * compiled code.
 */
export interface BenchCase {
  /** `concept/what-is-measured`, as the command line selects it. */
  readonly id: string;
  /** What one operation is, for the report. */
  readonly what: string;
  /** Operations come in multiples of this (a flush every 1000 messages: 1000). */
  readonly unit: number;
  /**
   * How many threads are busy at once; a case with one thread is pinned to one core where that is
   * possible.
   */
  readonly threads: number;
  prepare(): PreparedCase | Promise<PreparedCase>;
}

/** One timed run of a case. */
export interface Run {
  readonly nsPerOp: number;
  /** What one atomic addition took before or after the run, whichever was slower. */
  readonly yardstickNs: number;
  /** Latencies of single operations, in a histogram's buckets; only of cases about them. */
  readonly latencies?: readonly BucketCount[];
}

/** What the child process of one case prints as a line of JSON. */
export interface CaseSamples {
  readonly id: string;
  /** Operations per run, found by calibration. */
  readonly ops: number;
  readonly runs: readonly Run[];
  /** What the case found out that a reader of the figures must know. */
  readonly note?: string;
  /** CPU time of the whole process, in milliseconds. */
  readonly cpuMs: number;
}
