// SPDX-License-Identifier: MIT
/** Model checker: semaphores: signals, limits, ends, threads that give up and threads that die. */

import type { ModelOptions, Outcome, Scenario } from 'busbar/testing';
import type { BufferPool } from '../../src/pool/index.ts';
import type { Semaphore, SemaphoreOptions } from '../../src/sync/index.ts';
import { PERMITS_MASK, STATE } from '../../src/sync/sync-layout.ts';
import type { Case, Part } from './coverage.ts';
import { insisting } from './exception-scenarios.ts';
import { allowing } from './pool-scenarios.ts';
import {
  ASKING,
  asksAgain,
  attachedTo,
  expectResult,
  type SyncModule,
  type SyncShared,
  syncCase,
  syncScenario,
} from './sync-words.ts';

const OPERATIONS = 'tryAcquire, acquireSync, acquire, guardSync, release, disable, recover';

export function semaphoreParts(module: SyncModule): Part<SyncShared>[] {
  return [
    { name: 'semaphore', operations: OPERATIONS, cases: semaphoreCases(module) },
    { name: 'semaphore: deaths', operations: OPERATIONS, cases: semaphoreDeathCases(module) },
    { name: 'semaphore: exceptions', operations: OPERATIONS, cases: exceptionCases(module) },
  ];
}

type Threads = Scenario<SyncShared>['threads'];

// Spare words.
/** What is written plainly before a signal. */
const MESSAGE = 0;
/** Permits that threads use. */
const IN_USE = 1;

/** Takes permits of a limiter, uses them, gives them back. */
function uses(count: number, timeoutMs?: number) {
  return (semaphore: Semaphore, words: Int32Array): string => {
    const result = semaphore.acquireSync(count, timeoutMs);
    if (result !== 'acquired') return result;
    spend(semaphore, words, count);
    return result;
  };
}

function spend(semaphore: Semaphore, words: Int32Array, count: number): void {
  const inUse = Atomics.add(words, IN_USE, count) + count;
  if (inUse > semaphore.max) throw new Error(`${inUse} permits of ${semaphore.max} are in use`);
  Atomics.sub(words, IN_USE, count);
  if (semaphore.release(count) === 'full') throw new Error('there are too many permits');
}

function permitsOf({ sync }: SyncShared): number {
  return new Int32Array(sync.control)[STATE] & PERMITS_MASK;
}

/** What was released and not acquired is there. */
function checkBooks(expected: number) {
  return (shared: SyncShared, outcome: Outcome): void => {
    const taken = Object.values(outcome.results).filter((result) => result === 'acquired').length;
    const permits = permitsOf(shared);
    if (permits !== expected - taken) throw new Error(`${permits} permits are left`);
  };
}

export function semaphoreCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Semaphore>(module, module.Semaphore);
  const cases: Case<SyncShared>[] = [];
  const add = (
    name: string,
    options: SemaphoreOptions,
    threads: Threads,
    check: NonNullable<Scenario<SyncShared>['check']>,
    more: ModelOptions = { preemptions: 1 },
  ) => {
    const create = creates(module, options);
    const scenario = syncScenario(module, `semaphore: ${name}`, create, threads, { check });
    cases.push(syncCase(scenario, more));
  };
  const takes = body((semaphore) => semaphore.acquireSync());
  const awaits = body((semaphore) => semaphore.acquire());
  const impatient = body((semaphore) => semaphore.acquireSync(1, 5));
  const gives = (count: number) =>
    body((semaphore) => {
      for (let i = 0; i < count; i++) {
        if (semaphore.release() !== 'released') throw new Error('full');
      }
    });
  const all = (result: string, ...names: string[]) => {
    return (_: SyncShared, outcome: Outcome) => {
      for (const name of names) expectResult(outcome, name, result);
    };
  };

  const signals = body((semaphore, words) => {
    words[MESSAGE] = 7;
    semaphore.release();
  });
  const reads = body((semaphore, words) => `${semaphore.acquireSync()} ${words[MESSAGE]}`);
  const signal = { permits: 0 };
  add('a signal', signal, { a: signals, b: reads }, all('acquired 7', 'b'), { preemptions: 3 });
  const two = { permits: 0, max: 2 };
  const waiting = { a: takes, b: takes, c: gives(2) };
  add('2 block, 2 come', two, waiting, all('acquired', 'a', 'b'));
  add('1 blocks, 1 waits', two, { a: awaits, b: takes, c: gives(2) }, all('acquired', 'a', 'b'));
  const late = { a: impatient, b: takes, c: gives(2) };
  add('one gives up', two, late, checkBooks(2), { preemptions: 1, timeouts: 1 });
  const aborts = body(async (semaphore) => {
    const controller = new AbortController();
    const waits = semaphore.acquire(1, { signal: controller.signal });
    setImmediate(() => controller.abort());
    return await waits;
  });
  add('one aborts', two, { a: aborts, b: takes, c: gives(2) }, checkBooks(2));
  const release = body((semaphore) => semaphore.release());
  add('2 signals, room for 1', { permits: 0, max: 1 }, { a: release, b: release }, (shared) => {
    if (permitsOf(shared) !== 1) throw new Error(`${permitsOf(shared)} permits`);
  });
  const ends = body((semaphore) => semaphore.disable());
  const ended = { a: takes, b: awaits, c: ends };
  add('disable', signal, ended, all('disabled', 'a', 'b'));
  const limit = { permits: 2, owned: true };
  const many = { a: body(uses(2)), b: body(uses(1)), c: body(uses(1)) };
  const full = (shared: SyncShared) => {
    if (permitsOf(shared) !== 2) throw new Error(`${permitsOf(shared)} permits`);
  };
  add('one wants 2 of 2', limit, many, full);
  add('each wants 2 of 2', limit, { a: body(uses(2)), b: body(uses(2)) }, full);
  const both = body(async (semaphore, words) => {
    const waits = semaphore.acquire();
    if (semaphore.acquireSync(1) === 'acquired') spend(semaphore, words, 1);
    if ((await waits) === 'acquired') spend(semaphore, words, 1);
  });
  add('2 wait in one thread', limit, { a: body(uses(1)), b: both }, full);
  return cases;
}

export function semaphoreDeathCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Semaphore>(module, module.Semaphore);
  const cases: Case<SyncShared>[] = [];
  const add = (name: string, permits: number, threads: Threads, killable: string[]) => {
    const create = creates(module, { permits, owned: true });
    const title = `semaphore: death: ${name}`;
    const polls = /again/.test(name) ? ASKING.polls : 6;
    const kills = killable.length;
    const options: ModelOptions = { kills, deaths: 'calls', polls, timeouts: 0 };
    const scenario = syncScenario(module, title, create, threads, {
      killable,
      prepares: [...Object.keys(threads), 'supervisor'],
      // All permits come back, once.
      supervisor: (shared, dead, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        const semaphore = module.Semaphore.attach(pool, shared.sync as never);
        self.begin();
        semaphore.recover();
        pool.reclaim(dead.published[0] as number);
        semaphore.recover();
        allowing(['ERR_BUSBAR_TIMEOUT'], () => semaphore.guardSync(permits).release());
      },
      check: (shared, outcome) => {
        for (const name of Object.keys(threads)) expectResult(outcome, name, 'acquired');
        if (permitsOf(shared) === permits || outcome.killed.includes('supervisor')) return;
        throw new Error(`${permitsOf(shared)} permits`);
      },
    });
    cases.push({
      scenario,
      quick: { ...options, preemptions: 0, states: 10_000 },
      long: { ...options, preemptions: 1 },
    });
  };
  // What a dead thread had counted as in use stays counted: that is not looked at here.
  const takes = (count: number) =>
    body((semaphore) => {
      const result = semaphore.acquireSync(count);
      semaphore.release(count);
      return result;
    });
  add('1 of 1', 1, { a: takes(1), b: takes(1) }, ['a']);
  add('2 of 2', 2, { a: takes(2), b: takes(1), c: takes(1) }, ['a', 'b']);
  const asks = body((semaphore, words) => {
    const result = asksAgain(words, () => semaphore.tryAcquire(), 'busy');
    semaphore.release();
    return result;
  });
  add('tryAcquire again and again', 1, { a: takes(1), b: asks }, ['a']);
  return cases;
}

function exceptionCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Semaphore>(module, module.Semaphore);
  const options: ModelOptions = { exceptions: 1, preemptions: 1, timeouts: 0, polls: 0 };
  const deep = (count: number) =>
    body((semaphore, _, self) => {
      let result = '';
      insisting(self, () => {
        result = semaphore.acquireSync(count);
      });
      insisting(self, () => semaphore.release(count));
      return result;
    });
  const plain = body((semaphore) => {
    const result = semaphore.acquireSync(1);
    semaphore.release(1);
    return result;
  });
  const check = (shared: SyncShared, outcome: Outcome): void => {
    for (const name of ['a', 'b']) expectResult(outcome, name, 'acquired');
    if (permitsOf(shared) !== 2) throw new Error(`${permitsOf(shared)} permits`);
  };
  return [
    { a: deep(2), b: plain },
    { a: deep(1), b: deep(2) },
  ].map((threads, i) => ({
    scenario: syncScenario(
      module,
      `semaphore: exception ${i + 1}: acquireSync, release`,
      creates(module, { permits: 2, owned: true }),
      threads,
      { check },
    ),
    quick: { ...options, states: 12_000 },
    long: options,
  }));
}

function creates(module: SyncModule, options: SemaphoreOptions) {
  return (pool: BufferPool): Semaphore => module.Semaphore.create(pool, options);
}
