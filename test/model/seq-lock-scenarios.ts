// SPDX-License-Identifier: MIT
/** Model checker: a snapshot that threads read while others write it, and die as they write. */

import type { ModelOptions, Outcome, Scenario } from 'busbar/testing';
import type { SeqLock, SeqLockHandle } from '../../src/sync/index.ts';
import type { Case, Part } from './coverage.ts';
import { makeSync, type SyncModule, type SyncShared, syncScenario } from './sync-words.ts';

interface Shared extends SyncShared {
  readonly lock: SeqLockHandle;
}

/** The block of the snapshot. */
const DATA = 4;
const WORDS = 2;

export function seqLockParts(module: SyncModule): Part<Shared>[] {
  return [
    { name: 'seqlock', operations: 'tryRead, writeSync, isAbandoned', cases: seqLockCases(module) },
  ];
}

export function seqLockCases(module: SyncModule): Case<Shared>[] {
  const writes = (...values: number[]) =>
    body(module, (lock) => {
      for (const value of values) lock.writeSync(new Int32Array(WORDS).fill(value));
    });
  // What a reader has seen, whole each time, never older than before.
  const reads = (times: number) =>
    body(module, (lock) => {
      const seen = new Int32Array(WORDS);
      let last = 0;
      for (let i = 0; i < times; i++) {
        if (lock.tryRead(seen) === 'busy') continue;
        if (seen.some((word) => word !== seen[0])) throw new Error(`torn: ${seen.join()}`);
        last = seen[0];
      }
      return last;
    });
  const add = (
    name: string,
    threads: Scenario<Shared>['threads'],
    more: ModelOptions = {},
    killable: readonly string[] = [],
  ): Case<Shared> => {
    const base = syncScenario(module, `seqlock: ${name}`, () => undefined as never, {});
    const scenario: Scenario<Shared> = {
      ...(base as unknown as Scenario<Shared>),
      threads,
      prepares: Object.keys(threads),
      killable,
      setup: () => make(module),
      // Nothing but order is to be wrong here: as where the words were plain.
      racy: (shared) => (block, word) =>
        block === DATA || base.racy?.(shared)?.(block, word) === true,
      check: (_, outcome: Outcome) => {
        const last = outcome.results.last;
        if (last !== undefined && last !== 9) throw new Error(`${last} was written last, not 9`);
      },
    };
    const options: ModelOptions = { polls: 0, timeouts: 0, preemptions: 2, ...more };
    return { scenario, quick: { states: 6000, ...options }, long: { ...options, preemptions: 4 } };
  };
  return [
    add('2 writes, 1 reads', { w: writes(1, 2), r: reads(1) }),
    add('3 writes, 1 reads twice', { w: writes(1, 2, 3), r: reads(2) }),
    add('1 asks if it is abandoned', { w: writes(1, 2), l: body(module, looks) }),
    add('2 write, 1 reads', { v: writes(1), w: writes(2), r: reads(1) }, { preemptions: 1 }),
    add(
      'a writer dies, another repairs',
      { w: writes(1), last: body(module, repairs), r: reads(1) },
      { kills: 1, deaths: 'calls', polls: 4, preemptions: 1, states: 3000 },
      ['w'],
    ),
  ];
}

/** No thread dies. */
function looks(lock: SeqLock): void {
  if (lock.isAbandoned) throw new Error('it is not abandoned');
}

/** Writes after all, whether another has died, and reads that. */
function repairs(lock: SeqLock): number {
  const seen = new Int32Array(WORDS);
  lock.writeSync(new Int32Array(WORDS).fill(9));
  lock.tryRead(seen);
  if (seen.some((word) => word !== seen[0])) throw new Error(`torn: ${seen.join()}`);
  // The other may have written since.
  return seen[0] > 0 ? 9 : 0;
}

function make(module: SyncModule): Shared {
  let lock: SeqLockHandle | undefined;
  const shared = makeSync(module, (pool) => {
    lock = module.SeqLock.create(pool, { words: WORDS }).handle;
    return { handle: lock.writers };
  });
  return { ...shared, lock: lock as SeqLockHandle };
}

function body(
  module: SyncModule,
  run: (lock: SeqLock) => unknown,
): Scenario<Shared>['threads'][string] {
  return (shared, self) => {
    const pool = module.BufferPool.attach(shared.handle);
    self.publish(pool.threadSlot);
    const lock = module.SeqLock.attach(pool, shared.lock);
    self.begin();
    return run(lock);
  };
}
