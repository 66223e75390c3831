// SPDX-License-Identifier: MIT
/** Model checker: what threads of a scenario about synchronization share, and its words' names. */

import type { ModelOptions, ModelThread, Outcome, Scenario } from 'busbar/testing';
import type { Packet } from '../../src/packet/index.ts';
import type { BufferPool } from '../../src/pool/index.ts';
import { PoolLayout } from '../../src/pool/pool-layout.ts';
import type * as sync from '../../src/sync/index.ts';
import type { SyncHandle } from '../../src/sync/index.ts';
import {
  HELD,
  HOLDER,
  MEMBERS,
  NEXT_TICKET,
  READS,
  STATE,
  seatAt,
  TAG,
  WAITING,
} from '../../src/sync/sync-layout.ts';
import type { Case } from './coverage.ts';
import {
  isHint,
  isOwnerWord,
  type PoolModule,
  type PoolShared,
  poolWordName,
} from './pool-words.ts';

/** The parts of the modules that scenarios use: copies of them. */
export interface SyncModule
  extends PoolModule,
    Pick<
      typeof sync,
      | 'Barrier'
      | 'Countdown'
      | 'Event'
      | 'Gate'
      | 'Mutex'
      | 'Once'
      | 'RwLock'
      | 'Semaphore'
      | 'NO_SIGNAL'
      | 'SeqLock'
      | 'SignalTree'
      | 'WaitGroup'
    > {
  readonly Packet: typeof Packet;
}

/** Block 2 is spare words, 3 the primitive. */
export interface SyncShared extends PoolShared {
  readonly sync: SyncHandle;
}

/** A class of primitives: how it is attached to. */
export interface Attachable<One> {
  attach(pool: BufferPool, handle: never): One;
}

const POOL = { bufferCount: 1, batchSize: 1, maxThreads: 4 };

/** Makes a pool and a primitive that no thread is attached to. */
export function makeSync(
  module: SyncModule,
  create: (pool: BufferPool) => { readonly handle: SyncHandle },
  options: { readonly trackLeaks?: boolean; readonly bufferCount?: number } = {},
): SyncShared {
  const shape = { ...POOL, trackLeaks: false, ...options };
  const maker = module.BufferPool.create({ ...shape, bufferSize: 16 });
  const words = new Int32Array(new SharedArrayBuffer(64));
  const { handle } = create(maker);
  maker.detach();
  return {
    handle: maker.handle,
    words,
    layout: new PoolLayout(shape.bufferCount, POOL.maxThreads, POOL.batchSize),
    sync: handle,
  };
}

type Threads = Scenario<SyncShared>['threads'];

/**
 * Bodies of threads that use one primitive; each first attaches and prepares, without interruption.
 */
export function attachedTo<One>(
  module: SyncModule,
  type: Attachable<One>,
): (
  body: (one: One, words: Int32Array, self: ModelThread, prepared: unknown) => unknown,
  prepare?: (one: One) => unknown,
) => Threads[string] {
  return (body, prepare) => (shared, self) => {
    const pool = module.BufferPool.attach(shared.handle);
    self.publish(pool.threadSlot);
    const one = type.attach(pool, shared.sync as never);
    const prepared = prepare?.(one);
    self.begin();
    return body(one, shared.words, self, prepared);
  };
}

/** A scenario about one primitive. */
export function syncScenario(
  module: SyncModule,
  name: string,
  create: Parameters<typeof makeSync>[1],
  threads: Threads,
  more: Partial<Scenario<SyncShared>> = {},
): Scenario<SyncShared> {
  return {
    name,
    setup: () => makeSync(module, create),
    threads,
    prepares: Object.keys(threads),
    racy: (shared) => (block, word) =>
      isHint(shared, block, word) || isOwnerWord(shared, block, word),
    nameWord: (shared) => (block, word) => syncWordName(shared, block, word),
    ...more,
  };
}

/** A case with a few preemptions in the test run, and with more when there is time. */
export function syncCase(
  scenario: Scenario<SyncShared>,
  more: ModelOptions = {},
): Case<SyncShared> {
  const options: ModelOptions = { polls: 0, timeouts: 0, ...more };
  const { states: _, ...withoutStates } = options;
  return {
    scenario,
    quick: { preemptions: 2, states: 20_000, ...options },
    // `states` bounds the test run only.
    long: { preemptions: 4, ...withoutStates },
  };
}

/** Names for traces. */
export function syncWordName(shared: SyncShared, block: number, word: number): string | undefined {
  if (block !== 3) return poolWordName(shared, block, word);
  if (word === STATE) return 'STATE';
  if (word === TAG) return 'TAG';
  if (word === NEXT_TICKET) return 'NEXT_TICKET';
  for (let seat = 0; seat < shared.layout.maxThreads; seat++) {
    const name = SEAT_NAMES.get(word - seatAt(seat));
    if (name !== undefined) return `seat ${seat} ${name}`;
  }
  return undefined;
}

const SEAT_NAMES: ReadonlyMap<number, string> = new Map([
  [HOLDER, 'HOLDER'],
  [WAITING, 'WAITING'],
  [MEMBERS, 'MEMBERS'],
  [HELD, 'HELD'],
  [READS, 'READS'],
]);

/** So often time passes for a thread that asks: it looks for deaths at one call in 8. */
export const ASKING = { polls: 18 };

/** Asks until the result is another, 50 ms after 50 ms, at a word that no thread writes. */
export function asksAgain<Result>(words: Int32Array, ask: () => Result, busy: string): Result {
  for (;;) {
    const result = ask();
    if (result !== busy) return result;
    Atomics.wait(words, UNUSED, 0, 50);
  }
}

/** Of the spare words. */
const UNUSED = 15;

/** Throws unless the thread has ended with that result, or was killed. */
export function expectResult(outcome: Outcome, name: string, expected: unknown): void {
  const result = outcome.results[name];
  if (result === expected || outcome.killed.includes(name)) return;
  throw new Error(`${name}: ${String(result)}, expected ${String(expected)}`);
}
