// SPDX-License-Identifier: MIT
/** Soak: measurements of a process and its threads. */

import { readdirSync } from 'node:fs';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { BufferPool } from 'busbar/pool';

/** What is read; each has its unit and its rule for "flat" in `verdict.ts`. */
export type Quantity =
  | 'heap'
  | 'external'
  | 'array buffers'
  | 'loop delay'
  | 'rss'
  | 'descriptors'
  | 'buffers in use';

/** Values by `quantity`, or by `quantity of thread` where the process has several threads. */
export type Reading = Readonly<Record<string, number>>;

const LOOP_RESOLUTION_MS = 10;
const NS_PER_MS = 1e6;
const US_PER_MS = 1000;
const PERCENTILE = 99;
const PAGE_BYTES = 4096;

/** Of the whole process: bytes, descriptors, buffers of its pool that are not free. */
export function readProcess(pool: BufferPool | undefined): Reading {
  return {
    rss: process.memoryUsage.rss(),
    descriptors: readdirSync('/proc/self/fd').length,
    'buffers in use': pool === undefined ? 0 : buffersInUse(pool),
  };
}

/** Processor time that this process has used so far. */
export function usedCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / US_PER_MS;
}

function buffersInUse(pool: BufferPool): number {
  return pool.stats().held;
}

/** Reads one thread, over and over. */
export class ThreadReader {
  readonly #suffix: string;
  readonly #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });

  /** `thread`: its name, or '' for the only one. */
  constructor(thread: string) {
    this.#suffix = thread === '' ? '' : ` of ${thread}`;
    this.#delays.enable();
  }

  /**
   * After a collection of the thread's garbage, heap and what hangs on it in bytes; and by how many
   * milliseconds the event loop was late since the last time, the 99th percentile.
   */
  read(): Reading {
    const delayMs = this.#delays.percentile(PERCENTILE) / NS_PER_MS - LOOP_RESOLUTION_MS;
    if (globalThis.gc === undefined) throw new Error('node must be run with --expose-gc');
    globalThis.gc();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    this.#delays.reset();
    const values: Partial<Record<Quantity, number>> = {
      heap: heapUsed,
      external,
      'array buffers': arrayBuffers,
      'loop delay': Math.max(0, delayMs),
    };
    return Object.fromEntries(
      Object.entries(values).map(([quantity, value]) => [quantity + this.#suffix, value]),
    );
  }

  close(): void {
    this.#delays.disable();
  }
}

/**
 * Makes the system provide all pages of the pool now, so that RSS does not grow as they come into
 * use. Changes nothing, whatever other threads do meanwhile.
 */
export function touchPages({ bytes }: BufferPool): void {
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) Atomics.or(bytes, at, 0);
}
