// SPDX-License-Identifier: MIT
/** The options of a pool: checked and completed in one place. */

import type { SharedMemory } from '../base/arena.ts';
import { checkBoolean, checkInteger, checkOneOf, checkOptions } from '../base/check.ts';
import { checkName } from './holders.ts';
import {
  BATCH_SIZE_MAX,
  BUFFER_COUNT_MAX,
  BUFFER_SIZE_MAX,
  bufferStride,
  POOL_BYTES_MAX,
  PoolLayout,
  THREADS_MAX,
} from './pool-layout.ts';

/** The shape of a pool. Nothing of it can change later. */
export interface BufferPoolOptions {
  /** Shown in errors and reports: up to 31 bytes. Default: none. */
  readonly name?: string;
  /**
   * Bytes in one buffer: 1 … 2³⁰. Buffers begin on 64-byte boundaries, so multiples of 64 waste
   * nothing.
   */
  readonly bufferSize: number;
  /** Buffers in all: 1 … 2²⁰. Together at most 2 GiB − 64. */
  readonly bufferCount: number;
  /**
   * Buffers that move between a thread's cache and the shared list in one operation: 1 … 4096, at
   * most bufferCount. A thread keeps up to one and a half batches to itself. Default: a quarter of
   * a thread's fair share, 1 … 64: batches are then large enough to pay for their atomics, and all
   * caches together hold less than half the pool.
   */
  readonly batchSize?: number;
  /**
   * Threads attached at the same time: 1 … 1024. Default 16. Each costs 8 bytes per buffer of
   * control memory.
   */
  readonly maxThreads?: number;
  /**
   * Remember where every packet was created and report those never released; find deadlocks between
   * locks of `busbar/sync`. Slow, and 16 KiB more for each thread; for debugging.
   * Default: true if the environment has BUSBAR_TRACK_LEAKS=1, else false.
   */
  readonly trackLeaks?: boolean;
  /**
   * Fill a buffer with 0xDD when it becomes free, and a frame when the next one overtakes it, so
   * that bytes that are read too late show. Slow; for tests. Default: true if the environment has
   * BUSBAR_DEBUG=1, else false.
   */
  readonly debug?: boolean;
  /**
   * 'auto', the default: the buffers lie in a shared WebAssembly memory, which copies several times
   * as fast as the engine copies a SharedArrayBuffer. It takes 8 to 10 GiB of address space (not of
   * memory); where that or WebAssembly cannot be had, from a thread's 1025th pool on (in Chromium a
   * page's 124th), and with 'plain', they lie in a plain SharedArrayBuffer. `stats().memory` says
   * which. The environment's BUSBAR_MEMORY=plain changes the default.
   */
  readonly memory?: 'auto' | 'plain';
}

/** Options with every default applied. */
export type ResolvedPoolOptions = Required<BufferPoolOptions>;

const KEYS = [
  'name',
  'bufferSize',
  'bufferCount',
  'batchSize',
  'maxThreads',
  'trackLeaks',
  'debug',
  'memory',
];
const MAX_THREADS_DEFAULT = 16;
const BATCH_SIZE_DEFAULT_MAX = 64;

/** Checks the options and applies the defaults; this is the only place that does either. */
export function resolvePoolOptions(options: BufferPoolOptions): ResolvedPoolOptions {
  const own = checkOptions('options', options, KEYS);
  const bufferSize = checkInteger('bufferSize', own.bufferSize, 1, BUFFER_SIZE_MAX);
  const bufferCount = checkInteger('bufferCount', own.bufferCount, 1, BUFFER_COUNT_MAX);
  const maxThreads = checkInteger(
    'maxThreads',
    own.maxThreads ?? MAX_THREADS_DEFAULT,
    1,
    THREADS_MAX,
  );
  const share = Math.floor(bufferCount / (4 * maxThreads));
  const batchSize = checkInteger(
    'batchSize',
    own.batchSize ?? Math.min(Math.max(share, 1), BATCH_SIZE_DEFAULT_MAX),
    1,
    Math.min(bufferCount, BATCH_SIZE_MAX),
  );
  const bytes = bufferStride(bufferSize) * bufferCount;
  if (bytes > POOL_BYTES_MAX) {
    throw new RangeError(
      `bufferSize × bufferCount must be at most ${POOL_BYTES_MAX} bytes, got ${bytes}`,
    );
  }
  const trackLeaks = checkBoolean(
    'trackLeaks',
    own.trackLeaks ?? environment('BUSBAR_TRACK_LEAKS') === '1',
  );
  if (!new PoolLayout(bufferCount, maxThreads, batchSize, trackLeaks).fits) {
    throw new RangeError(
      `bufferCount × maxThreads is too large for one control block: ${bufferCount} × ${maxThreads}`,
    );
  }
  const debug = checkBoolean('debug', own.debug ?? environment('BUSBAR_DEBUG') === '1');
  const ask = environment('BUSBAR_MEMORY') === 'plain' ? 'plain' : 'auto';
  const memory = checkOneOf('memory', own.memory ?? ask, ['auto', 'plain'] as const);
  return Object.freeze({
    name: checkName(own.name),
    bufferSize,
    bufferCount,
    batchSize,
    maxThreads,
    trackLeaks,
    debug,
    memory,
  });
}

function environment(name: string): string | undefined {
  return (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.[
    name
  ];
}

/** What another thread needs to attach: pass it through `workerData` or `postMessage`. */
export interface BufferPoolHandle {
  /** Always 'busbar/pool'. */
  readonly kind: 'busbar/pool';
  readonly version: number;
  readonly control: SharedArrayBuffer;
  readonly data: SharedArrayBuffer;
  /**
   * The WebAssembly.Memory whose buffer is `data`; undefined: `data` is a plain SharedArrayBuffer.
   */
  readonly memory?: SharedMemory | undefined;
}
