// SPDX-License-Identifier: MIT
/** The statistics of a pool: who holds what, counted without stopping any thread. */

import { loadAcquire } from '../base/atomics.ts';
import type { LeakReport } from './leak-tracker.ts';
import {
  ACQUIRES,
  ACQUIRES_HIGH,
  ATTENTION,
  ATTENTION_CLOSED,
  CACHE_COUNT,
  GIVE_BACKS,
  GRANT,
  OVERFLOWS,
  RECLAIMS,
  REFILLS,
  STATE,
  STRIPE_COUNT,
  WAITING,
  WAITS,
} from './pool-layout.ts';
import type { PoolThread } from './pool-thread.ts';
import { threadState } from './reclaim.ts';
import { nameOfPool, nameOfThread } from './thread-names.ts';

/**
 * One thread's part of {@link PoolStats}. Counters begin when the slot was first used; all but
 * `acquires` wrap at 2³².
 */
export interface PoolThreadStats {
  readonly slot: number;
  /** What `nameThread` was given; else 'thread ' and the slot. */
  readonly name: string;
  readonly state: 'attached' | 'reclaiming';
  /** Free buffers in its cache. */
  readonly cached: number;
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
  /** The pool's name; '' without one. */
  readonly name: string;
  /** Buffers in all. */
  readonly capacity: number;
  /** Free buffers in the shared list. */
  readonly freeShared: number;
  /** Free buffers in threads' caches. */
  readonly freeCached: number;
  /** Buffers that are not free: held by threads, or by packets in transit between them. */
  readonly held: number;
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
  /** Packets never released, of the calling thread; 'off': leaks are not tracked. */
  readonly leaks: readonly LeakReport[] | 'off';
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

/** Reads every counter. **Cost** a few loads per thread. */
export function poolStats(self: PoolThread, isFast: boolean): PoolStats {
  const { words, layout } = self;
  const threads: PoolThreadStats[] = [];
  let freeShared = 0;
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    freeShared += words[layout.stripe(slot) + STRIPE_COUNT];
    const record = layout.thread(slot);
    const state = threadState(loadAcquire(words, record + STATE));
    if (state === 'free') continue;
    threads.push({
      slot,
      name: nameOfThread(self, slot),
      state,
      cached: words[record + CACHE_COUNT],
      waiting: loadAcquire(words, record + GRANT) === WAITING,
      acquires: (words[record + ACQUIRES_HIGH] >>> 0) * 2 ** 32 + (words[record + ACQUIRES] >>> 0),
      refills: words[record + REFILLS] >>> 0,
      overflows: words[record + OVERFLOWS] >>> 0,
      waits: words[record + WAITS] >>> 0,
      reclaims: words[record + RECLAIMS] >>> 0,
      giveBacks: words[record + GIVE_BACKS] >>> 0,
    });
  }
  const freeCached = threads.reduce((sum, thread) => sum + thread.cached, 0);
  return {
    name: nameOfPool(self),
    capacity: layout.bufferCount,
    freeShared,
    freeCached,
    // While buffers move between a cache and the list, they may be counted twice.
    held: Math.max(0, layout.bufferCount - freeShared - freeCached),
    waiting: threads.filter((thread) => thread.waiting).length,
    closed: (loadAcquire(words, ATTENTION) & ATTENTION_CLOSED) !== 0,
    memory: isFast ? 'wasm' : 'plain',
    threads,
  };
}
