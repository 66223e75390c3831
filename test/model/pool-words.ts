// SPDX-License-Identifier: MIT
/** Model checker: the buffer pool's shared words: names, hints, and the invariants at the end. */

import type { BufferId, BufferPool, BufferPoolHandle } from '../../src/pool/index.ts';
import { isOwnerWord as isOwner, isPoolHint, isPoolStatistic } from '../../src/pool/pool-hints.ts';
import {
  ATTENTION,
  ATTENTION_CLOSED,
  CACHE_COUNT,
  GRANT,
  inStripe,
  LIFE,
  NEXT,
  NEXT_TICKET,
  NOT_WAITING,
  OWNER,
  PARKER,
  PoolLayout,
  PROBES,
  STATE,
  TICKET,
  TOTAL,
} from '../../src/pool/pool-layout.ts';

/** The part of the pool's module that scenarios use: the module itself, or its mortal copy. */
export interface PoolModule {
  readonly BufferPool: typeof BufferPool;
  readonly NO_BUFFER: BufferId;
}

export interface PoolShape {
  readonly bufferCount: number;
  readonly batchSize: number;
  readonly maxThreads: number;
}

/** What threads of a pool scenario share. */
export interface PoolShared {
  readonly handle: BufferPoolHandle;
  /** Words for what the threads say to each other. */
  readonly words: Int32Array;
  readonly layout: PoolLayout;
}

/**
 * Makes a pool without attached threads, and some words. Block 0 is the pool's control, 1 its
 * data, 2 the words.
 */
export function makePool(module: PoolModule, shape: PoolShape, words = 16): PoolShared {
  const pool = module.BufferPool.create({ ...shape, bufferSize: 16, trackLeaks: false });
  pool.detach();
  return {
    handle: pool.handle,
    words: new Int32Array(new SharedArrayBuffer(4 * words)),
    layout: new PoolLayout(shape.bufferCount, shape.maxThreads, shape.batchSize),
  };
}

/** Words that the pool's documents call hints: read without order, checked again by other means. */
export function isHint(shared: PoolShared, block: number, word: number): boolean {
  return block === 0 && isPoolHint(shared.layout, word);
}

/** What `stats()` reads while the threads that own it go on: counters and REFS. */
export function isStatistic(shared: PoolShared, block: number, word: number): boolean {
  return block === 0 && isPoolStatistic(shared.layout, word);
}

/** OWNER words: reclaim reads all of them while living threads change theirs. */
export function isOwnerWord(shared: PoolShared, block: number, word: number): boolean {
  return block === 0 && isOwner(shared.layout, word);
}

/** Names for traces. */
export function poolWordName(shared: PoolShared, block: number, word: number): string | undefined {
  if (block === 2) return `words[${word}]`;
  if (block !== 0) return undefined;
  const { layout } = shared;
  if (word === ATTENTION) return 'ATTENTION';
  if (word === NEXT_TICKET) return 'NEXT_TICKET';
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    if (word === layout.stripe(slot)) return `stripe ${slot}`;
    const record = word - layout.thread(slot);
    const name = THREAD_NAMES.get(record);
    if (name !== undefined) return `thread ${slot} ${name}`;
    if (record > CACHE_COUNT && record <= CACHE_COUNT + layout.cacheLimit) {
      return `thread ${slot} cache[${record - CACHE_COUNT - 1}]`;
    }
    for (let id = 0; id < layout.bufferCount; id++) {
      if (word === layout.refs(slot) + id) return `thread ${slot} REFS[${id}]`;
      if (word === layout.shares(slot) + id) return `thread ${slot} SHARES[${id}]`;
    }
  }
  for (let id = 0; id < layout.bufferCount; id++) {
    if (word === layout.buffer(id) + OWNER) return `buffer ${id} OWNER`;
    if (word === layout.buffer(id) + NEXT) return `buffer ${id} NEXT`;
    if (word === layout.buffer(id) + TOTAL) return `buffer ${id} TOTAL`;
  }
  return undefined;
}

const THREAD_NAMES: ReadonlyMap<number, string> = new Map([
  [CACHE_COUNT, 'CACHE_COUNT'],
  [STATE, 'STATE'],
  [GRANT, 'GRANT'],
  [TICKET, 'TICKET'],
  [PARKER, 'PARKER'],
  [LIFE, 'LIFE'],
  [PROBES, 'PROBES'],
]);

/**
 * Asserts that every buffer has exactly one place, and that place is free: a chain of the shared
 * list or the cache of an attached thread. Reads the words as they are; only for a moment in which
 * nothing moves.
 */
export function checkAllFree(shared: PoolShared): void {
  const { layout } = shared;
  const words = new Int32Array(shared.handle.control);
  const places = new Map<number, string>();
  const place = (id: number, where: string, owner: number): void => {
    const before = places.get(id);
    if (before !== undefined) throw new Error(`buffer ${id} is in ${before} and in ${where}`);
    if (id < 0 || id >= layout.bufferCount) throw new Error(`${where} names buffer ${id}`);
    places.set(id, where);
    const said = words[layout.buffer(id) + OWNER];
    if (said !== owner) throw new Error(`buffer ${id} is in ${where}, but OWNER says ${said}`);
  };
  for (let stripe = 0; stripe < layout.maxThreads; stripe++) {
    const head = words[layout.stripe(stripe)];
    if (head < 0) throw new Error(`stripe ${stripe} is still claimed by thread ${-1 - head}`);
    for (let id = head - 1; id >= 0; id = words[layout.buffer(id) + NEXT]) {
      place(id, `stripe ${stripe}`, inStripe(stripe));
    }
  }
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    const record = layout.thread(slot);
    if (words[record + GRANT] !== NOT_WAITING) throw new Error(`thread ${slot} still waits`);
    for (let id = 0; id < layout.bufferCount; id++) {
      if (words[layout.refs(slot) + id] !== 0) throw new Error(`thread ${slot} holds buffer ${id}`);
    }
    for (let i = 1; i <= words[record + CACHE_COUNT]; i++) {
      place(words[record + CACHE_COUNT + i], `the cache of thread ${slot}`, slot);
    }
  }
  for (let id = 0; id < layout.bufferCount; id++) {
    if (!places.has(id)) {
      const owner = words[layout.buffer(id) + OWNER];
      throw new Error(`buffer ${id} is lost: OWNER ${owner}`);
    }
  }
  const waiting = words[ATTENTION] & ~ATTENTION_CLOSED;
  if (waiting !== 0) throw new Error(`ATTENTION counts ${waiting} waiters, there are none`);
}
