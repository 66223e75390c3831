// SPDX-License-Identifier: MIT
/** Model checker: threads that wait for each other, or only seem to. */

import type { ModelOptions, Outcome, Scenario } from 'busbar/testing';
import type { Deadlocks, Waited } from '../../src/sync/deadlocks.ts';
import type { Case, Part } from './coverage.ts';
import { makeSync, type SyncModule, type SyncShared, syncScenario } from './sync-words.ts';

/** The parts of the modules that scenarios use: copies of them. */
export interface DeadlockModule extends SyncModule {
  readonly Deadlocks: typeof Deadlocks;
}

export function deadlockParts(module: DeadlockModule): Part<SyncShared>[] {
  const cases = deadlockCases(module);
  return [{ name: 'deadlocks', operations: 'tick, begin, end', cases }];
}

/** What a thread found out; 'stuck': it waits for ever, with what it has. */
type End = 'done' | 'stuck' | 'deadlock';
/** In each round a thread takes some locks, and gives all back. */
type Rounds = readonly (readonly number[])[];

/** How often a waiting thread looks who waits for whom. */
const LOOKS = 2;

export function deadlockCases(module: DeadlockModule): Case<SyncShared>[] {
  const atMostOne = (ends: readonly End[]): void => {
    const count = ends.filter((end) => end === 'deadlock').length;
    if (count > 1) throw new Error(`${count} threads report it`);
  };
  const none = (ends: readonly End[]): void => {
    if (ends.includes('deadlock')) throw new Error('a false alarm');
  };
  const add = (
    name: string,
    threads: Readonly<Record<string, Rounds>>,
    check: (ends: readonly End[]) => void,
    more: ModelOptions = {},
  ): Case<SyncShared> => {
    const ids = Object.keys(threads);
    const scenario: Scenario<SyncShared> = {
      ...syncScenario(module, `deadlock: ${name}`, () => undefined as never, {}),
      threads: Object.fromEntries(ids.map((id) => [id, takes(module, threads[id])])),
      prepares: ids,
      setup: () => makeSync(module, (pool) => module.Mutex.create(pool), { trackLeaks: true }),
      killable: more.kills === undefined ? [] : ['a'],
      check: (_, outcome: Outcome) => {
        const living = ids.filter((id) => !outcome.killed.includes(id));
        check(living.map((id) => outcome.results[id] as End));
      },
    };
    const options: ModelOptions = { polls: 0, timeouts: 0, preemptions: 1, ...more };
    return { scenario, quick: { states: 8000, ...options }, long: { ...options, preemptions: 3 } };
  };
  return [
    add('a has 0, b has 1', { a: [[0, 1]], b: [[1, 0]] }, atMostOne),
    add('one order', { a: [[0, 1]], b: [[0, 1]] }, none),
    // When b waits, a may still tell that it waits for b, which has given it back.
    add('in turns', { a: [[0, 1]], b: [[1], [0]] }, none, { preemptions: 2 }),
    add('a cycle of three', { a: [[0, 1]], b: [[1, 2]], c: [[2, 0]] }, atMostOne),
    add('three in one order', { a: [[0, 1]], b: [[1, 2]], c: [[0, 2]] }, none),
    add('a cycle, a dies', { a: [[0, 1]], b: [[1, 0]] }, atMostOne, { kills: 1, deaths: 'calls' }),
  ];
}

/** A lock that no thread sleeps by: a spare word names its holder. */
class Lock implements Waited {
  readonly label: string;
  readonly words: Int32Array;
  readonly at: number;
  readonly badge: number;

  constructor(words: Int32Array, at: number, badge: number) {
    this.label = `lock ${at}`;
    this.words = words;
    this.at = at;
    this.badge = badge;
  }

  get isHeldHere(): boolean {
    return Atomics.load(this.words, this.at) === this.badge;
  }

  holders(note: (badge: number, units: number) => void): number {
    const holder = Atomics.load(this.words, this.at);
    if (holder === 0) return 0;
    note(holder, 1);
    return 1;
  }

  tryTake(): boolean {
    return Atomics.compareExchange(this.words, this.at, 0, this.badge) === 0;
  }

  giveBack(): void {
    Atomics.store(this.words, this.at, 0);
  }
}

function takes(module: DeadlockModule, rounds: Rounds): Scenario<SyncShared>['threads'][string] {
  return (shared, self): End => {
    const pool = module.BufferPool.attach(shared.handle);
    self.publish(pool.threadSlot);
    const deadlocks = module.Deadlocks.of(pool) as Deadlocks;
    const locks = [0, 1, 2].map((at) => new Lock(shared.words, at, pool.badge));
    self.begin();
    for (const round of rounds) {
      for (const index of round) {
        try {
          if (!take(deadlocks, locks[index])) return 'stuck';
        } catch (error) {
          if ((error as { code?: string }).code !== 'ERR_BUSBAR_DEADLOCK') throw error;
          for (const held of round.slice(0, round.indexOf(index))) locks[held].giveBack();
          return 'deadlock';
        }
      }
      for (const index of round) locks[index].giveBack();
    }
    return 'done';
  };
}

/** False: it would wait for ever, or longer than this scenario. */
function take(deadlocks: Deadlocks, lock: Lock): boolean {
  if (lock.tryTake()) return true;
  const wait = deadlocks.begin(lock, false, true);
  // A stack differs from run to run.
  wait.called.stack = '';
  let isDone = false;
  try {
    for (let i = 0; i < LOOKS && !isDone; i++) {
      deadlocks.tick(lock);
      isDone = lock.tryTake();
    }
  } catch (error) {
    deadlocks.end(wait, 'deadlock');
    throw error;
  }
  if (isDone) deadlocks.end(wait, '');
  return isDone;
}
