// SPDX-License-Identifier: MIT
/** Model checker: mutexes between living threads, threads that give up, and threads that die. */

import type { ModelOptions, ModelThread, Outcome, Scenario } from 'busbar/testing';
import type { BufferPool } from '../../src/pool/index.ts';
import type { LockOrder, Mutex, OwnerDeath } from '../../src/sync/index.ts';
import type { Case, Part } from './coverage.ts';
import { insisting } from './exception-scenarios.ts';
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

const OPERATIONS = 'tryLock, lockSync, lock, guardSync, unlock';

export function mutexParts(module: SyncModule): Part<SyncShared>[] {
  return [
    { name: 'mutex', operations: OPERATIONS, cases: mutexCases(module) },
    { name: 'mutex: deaths', operations: OPERATIONS, cases: mutexDeathCases(module) },
    { name: 'mutex: exceptions', operations: OPERATIONS, cases: mutexExceptionCases(module) },
  ];
}

// Spare words: what the lock protects, written plainly, so that two threads at once are a race.
const COUNT = 0;
const INSIDE = 1;
/** In INSIDE: a thread is in the queue. */
const WAITS = 2;

/** What a thread does that has the lock. */
function beInside(mutex: Mutex, words: Int32Array): void {
  if (words[INSIDE] !== 0 && !mutex.ownerDied) throw new Error('another thread is inside');
  words[INSIDE] = 1;
  words[COUNT]++;
  mutex.tag = mutex.ownerDied ? words[COUNT] : mutex.tag + 1;
  if (mutex.tag !== words[COUNT]) throw new Error(`the tag is ${mutex.tag}`);
  words[INSIDE] = 0;
}

function use(mutex: Mutex, words: Int32Array): void {
  beInside(mutex, words);
  mutex.unlock();
}

function blocks(rounds: number, timeoutMs?: number) {
  return (mutex: Mutex, words: Int32Array): number => {
    let count = 0;
    for (let i = 0; i < rounds; i++) {
      const result = mutex.lockSync(timeoutMs);
      if (result === 'poisoned') return -1;
      if (result !== 'acquired') continue;
      use(mutex, words);
      count++;
    }
    return count;
  };
}

async function awaits(mutex: Mutex, words: Int32Array): Promise<number> {
  const result = await mutex.lock();
  if (result === 'poisoned') return -1;
  if (result !== 'acquired') throw new Error(result);
  use(mutex, words);
  return 1;
}

function tries(mutex: Mutex, words: Int32Array): number {
  if (mutex.tryLock() !== 'acquired') return 0;
  use(mutex, words);
  return 1;
}

/** Gives up when its event loop has turned once. */
async function aborts(mutex: Mutex, words: Int32Array): Promise<number> {
  const controller = new AbortController();
  const locking = mutex.lock({ signal: controller.signal });
  setImmediate(() => controller.abort());
  const result = await locking;
  if (result === 'aborted') return 0;
  if (result !== 'acquired') throw new Error(result);
  use(mutex, words);
  return 1;
}

/** Each use of the lock was counted, once, and the lock is free. */
function checkCount({ words }: SyncShared, outcome: Outcome): void {
  let expected = 0;
  for (const result of Object.values(outcome.results)) expected += result as number;
  if (words[COUNT] !== expected) throw new Error(`${words[COUNT]}, not ${expected}, were inside`);
}

export function mutexCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Mutex>(module, module.Mutex);
  const cases: Case<SyncShared>[] = [];
  for (const order of ['barging', 'lifo', 'fair'] as const) {
    const add = (name: string, threads: Scenario<SyncShared>['threads'], more?: ModelOptions) => {
      // But for who is rung, as 'barging'.
      if (order === 'lifo' && !name.startsWith('2 ')) return;
      const create = creates(module, order);
      const scenario = syncScenario(module, `mutex ${order}: ${name}`, create, threads, {
        check: checkCount,
      });
      cases.push(syncCase(scenario, more));
    };
    const a = body(blocks(1));
    const held = body(
      (mutex, words) => {
        use(mutex, words);
        return 1;
      },
      (mutex) => mutex.tryLock(),
    );
    const twice = body(blocks(2));
    const async = body(awaits);
    const impatient = body(blocks(1, 5));
    const one = { preemptions: 1 };
    add('lockSync twice', { a: twice, b: twice }, one);
    add('2 block, 1 has it', { a, b: a, c: held }, one);
    add('2 wait, 1 has it', { a: async, b: async, c: held }, one);
    add('lock', { a: async, b: async }, one);
    add('lockSync, lock', { a, b: async });
    add('tryLock, 1 has it', { a, b: body(tries), c: held }, one);
    add('one gives up', { a: impatient, b: a, c: held }, { ...one, timeouts: 1 });
    add('one aborts', { a: body(aborts), b: a, c: held }, one);
    add('2 wait in one thread', { a, b: body(both) }, one);
  }
  const title = 'mutex fair: no waiter is overtaken, though time passes';
  const scenario = syncScenario(module, title, creates(module, 'fair'), {
    a: body(
      (mutex) => mutex.unlock(),
      (mutex) => mutex.tryLock(),
    ),
    b: body(served(1), (mutex) => mutex.lock()),
    c: body(served(2), (mutex) => mutex.lock()),
  });
  // A tick of one thread may be the only thing that happens: nothing else is late.
  cases.push(syncCase(scenario, { preemptions: 1, timeouts: 1 }));
  const frees = body(
    async (mutex, _, __, locked) => {
      await locked;
      mutex.unlock();
    },
    (mutex) => lockAsWaiter(mutex),
  );
  const overtaken = 'mutex fair: no waiter is overtaken by a newcomer';
  const threads = { a: frees, b: body(marksItsWait), c: body(overtakesNone) };
  const newcomer = syncScenario(module, overtaken, creates(module, 'fair'), threads);
  cases.push(syncCase(newcomer, { preemptions: 1 }));
  return cases;
}

/** Holds the lock as one that has waited for it: others may still be in the queue, or none. */
function lockAsWaiter(mutex: Mutex): Promise<string> {
  mutex.tryLock();
  const locked = mutex.lock();
  mutex.unlock();
  return locked;
}

async function marksItsWait(mutex: Mutex, words: Int32Array): Promise<void> {
  const locking = mutex.lock();
  if (!mutex.isHeld) Atomics.store(words, INSIDE, WAITS);
  await locking;
  Atomics.store(words, INSIDE, 0);
  mutex.unlock();
}

function overtakesNone(mutex: Mutex, words: Int32Array): void {
  const isQueue = Atomics.load(words, INSIDE) === WAITS;
  if (mutex.tryLock() !== 'acquired') return;
  // If that one had got it meanwhile, it would have said so before it gave it back.
  if (isQueue && Atomics.load(words, INSIDE) === WAITS) throw new Error('a waiter was overtaken');
  mutex.unlock();
}

/** The nth that gets the lock; it has waited from the beginning. */
function served(nth: number) {
  return async (mutex: Mutex, words: Int32Array, _: ModelThread, locked: unknown) => {
    if ((await locked) !== 'acquired') throw new Error(String(locked));
    words[COUNT]++;
    if (words[COUNT] !== nth) throw new Error(`overtaken: it was number ${words[COUNT]}`);
    mutex.unlock();
  };
}

/** Two asynchronous functions, and a blocking one, of one thread. */
async function both(mutex: Mutex, words: Int32Array): Promise<number> {
  const first = awaits(mutex, words);
  const second = awaits(mutex, words);
  let third = 0;
  // Where the first has the lock already, a wait that blocks would never end.
  if (!mutex.isHeld) third = blocks(1)(mutex, words);
  return third + (await first) + (await second);
}

export function mutexDeathCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Mutex>(module, module.Mutex);
  const cases: Case<SyncShared>[] = [];
  const add = (
    name: string,
    order: LockOrder,
    death: OwnerDeath,
    threads: Scenario<SyncShared>['threads'],
    killable: readonly string[],
  ) => {
    const title = `mutex ${order}: death, ${death}: ${name}`;
    const scenario = syncScenario(module, title, creates(module, order, death), threads, {
      killable,
      // Those who are inside look whether one died there of which they were not told.
      check: (_, outcome) => {
        if (death === 'poison') return;
        for (const name of Object.keys(threads)) expectResult(outcome, name, 1);
      },
    });
    const polls = /again/.test(name) ? ASKING.polls : 6;
    const kills = killable.length;
    const options: ModelOptions = { kills, deaths: 'calls', polls, timeouts: 0 };
    cases.push({
      scenario,
      quick: { ...options, preemptions: 0, states: 10_000 },
      long: { ...options, preemptions: 1 },
    });
  };
  const a = body(blocks(1));
  const async = body(awaits);
  for (const order of ['barging', 'fair'] as const) {
    add('lockSync', order, 'handOver', { a, b: a }, ['a']);
    add('lock', order, 'handOver', { a, b: async }, ['a']);
    add('3 threads', order, 'handOver', { a, b: a, c: a }, ['a', 'b']);
    add('lockSync', order, 'poison', { a, b: a, c: a }, ['a']);
  }
  const polls = body((mutex, words) => {
    asksAgain(words, () => mutex.tryLock(), 'busy');
    use(mutex, words);
    return 1;
  });
  add('tryLock again and again', 'barging', 'handOver', { a, b: polls }, ['a']);
  // 'a' may die in the queue.
  const queue = { a: async, b: a, c: polls };
  add('tryLock again and again', 'fair', 'handOver', queue, ['a']);
  return cases;
}

export function mutexExceptionCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Mutex>(module, module.Mutex);
  // With one preemption: what throws after a wait that succeeds at once is found.
  const options: ModelOptions = { exceptions: 1, preemptions: 1, timeouts: 0, polls: 0 };
  // What threw has changed nothing: it is done again, and nothing says that it was done before.
  const locks = body((mutex, words, self) => {
    const result = done(self, () => mutex.lockSync());
    if (result !== 'acquired') throw new Error(result);
    beInside(mutex, words);
    insisting(self, () => mutex.unlock());
    return 1;
  });
  const guards = body((mutex, words, self) => {
    const guard = done(self, () => mutex.guardSync());
    beInside(mutex, words);
    insisting(self, () => guard.release());
    return 1;
  });
  const cases: Case<SyncShared>[] = [];
  for (const order of ['barging', 'fair'] as const) {
    const add = (name: string, threads: Scenario<SyncShared>['threads']) => {
      const title = `mutex ${order}: exception: ${name}`;
      const scenario = syncScenario(module, title, creates(module, order), threads, {
        check: checkCount,
      });
      cases.push({ scenario, quick: { ...options, states: 12_000 }, long: options });
    };
    const other = body(blocks(1));
    add('lockSync, unlock', { a: locks, b: other });
    add('lockSync, unlock, 3 threads', { a: locks, b: other, c: locks });
    add('guardSync, release', { a: guards, b: other });
  }
  return cases;
}

/** The result of a step that is made deeply, until it has not thrown. */
function done<Result>(self: ModelThread, step: () => Result): Result {
  let result: Result | undefined;
  insisting(self, () => {
    result = step();
  });
  return result as Result;
}

function creates(module: SyncModule, order: LockOrder, onOwnerDeath: OwnerDeath = 'handOver') {
  return (pool: BufferPool): Mutex => module.Mutex.create(pool, { order, onOwnerDeath });
}
