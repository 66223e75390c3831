// SPDX-License-Identifier: MIT
/** The statistics of a pool: who holds what, counted without stopping any thread. */

import { loadAcquire } from '../base/atomics.ts';
import type { LeakReport } from './leak-tracker.ts';
import {
  ACQUIRES,
  ACQUIRES_HIGH,
  ALONE,
  ATTENTION,
  ATTENTION_CLOSED,
  CACHE_COUNT,
  GIVE_BACKS,
  GRANT,
  OVERFLOWS,
  OWNER,
  RECLAIMS,
  REFILLS,
  SHARED,
  STATE,
  WAITING,
  WAITS,
} from './pool-layout.ts';
import type { PoolThread } from './pool-thread.ts';
import { threadState } from './reclaim.ts';

/**
 * One thread's part of {@link PoolStats}. Counters begin when the slot was first used; all but
 * `acquires` wrap at 2³².
 */
export interface PoolThreadStats {
  readonly slot: number;
  readonly state: 'attached' | 'reclaiming';
  /** Free buffers in its cache. */
  readonly cached: number;
  /** Buffers on which it holds references. */
  readonly held: number;
  /** True while it waits for a buffer. */
  readonly waiting: boolean;
  /** Buffers acquired. */
  readonly acquires: number;
  /** Batches taken from the shared list. */
  readonly refills: number;
  /** Batches put back to it. */
  readonly overflows: number;
  /** Times it had to wait. */
  readonly waits: number;
  /** Dead threads that it reclaimed. */
  readonly reclaims: number;
  /** Times it gave its whole cache back for others. */
  readonly giveBacks: number;
}

/** A pool at one moment, more or less: other threads go on while it is counted. */
export interface PoolStats {
  /** Buffers in all. */
  readonly capacity: number;
  /** Free buffers in the shared list. */
  readonly freeShared: number;
  /** Free buffers in threads' caches. */
  readonly freeCached: number;
  /** Buffers held by one thread or more. */
  readonly held: number;
  /**
   * Shared buffers of which no thread holds a reference: only packets in transit (or lost ones)
   * keep them.
   */
  readonly inTransit: number;
  /** Threads that wait. */
  readonly waiting: number;
  readonly closed: boolean;
  /** What copies the bytes in this thread: {@link BufferPoolOptions.memory}. */
  readonly memory: 'wasm' | 'plain';
  /** Attached threads only. */
  readonly threads: readonly PoolThreadStats[];
}

/** What `close()` found still out. */
export interface PoolReport {
  /** Buffers held, counted once for each thread that holds them. */
  readonly heldByThreads: number;
  /** Buffers kept only by packets in transit. */
  readonly inTransit: number;
  /** Packets never released, if leaks are tracked; only those of the calling thread. */
  readonly leaks: readonly LeakReport[];
}

/** How many buffers a thread holds references on. */
export function outstanding(self: PoolThread, slot: number): number {
  const { words, layout } = self;
  const refs = layout.refs(slot);
  let held = 0;
  for (let id = 0; id < layout.bufferCount; id++) {
    if (words[refs + id] > 0) held++;
  }
  return held;
}

/** Reads every counter. **Cost** a load per buffer and attached thread. */
export function poolStats(self: PoolThread, isFast: boolean): PoolStats {
  const { words, layout } = self;
  const threads: PoolThreadStats[] = [];
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    const record = layout.thread(slot);
    const state = threadState(loadAcquire(words, record + STATE));
    if (state === 'free') continue;
    threads.push({
      slot,
      state,
      cached: words[record + CACHE_COUNT],
      held: outstanding(self, slot),
      waiting: loadAcquire(words, record + GRANT) === WAITING,
      acquires: (words[record + ACQUIRES_HIGH] >>> 0) * 2 ** 32 + (words[record + ACQUIRES] >>> 0),
      refills: words[record + REFILLS] >>> 0,
      overflows: words[record + OVERFLOWS] >>> 0,
      waits: words[record + WAITS] >>> 0,
      reclaims: words[record + RECLAIMS] >>> 0,
      giveBacks: words[record + GIVE_BACKS] >>> 0,
    });
  }
  const slots = threads.map((thread) => thread.slot);
  let freeShared = 0;
  let held = 0;
  let inTransit = 0;
  for (let id = 0; id < layout.bufferCount; id++) {
    const owner = words[layout.buffer(id) + OWNER];
    if (owner < SHARED && owner !== ALONE) freeShared++;
    else if (slots.some((slot) => words[layout.refs(slot) + id] > 0)) held++;
    else if (owner < 0) inTransit++;
  }
  return {
    capacity: layout.bufferCount,
    freeShared,
    freeCached: threads.reduce((sum, thread) => sum + thread.cached, 0),
    held,
    inTransit,
    waiting: threads.filter((thread) => thread.waiting).length,
    closed: (loadAcquire(words, ATTENTION) & ATTENTION_CLOSED) !== 0,
    memory: isFast ? 'wasm' : 'plain',
    threads,
  };
}
