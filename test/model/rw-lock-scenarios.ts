// SPDX-License-Identifier: MIT
/** Model checker: read-write locks: who is inside with whom, who gives up, and who dies. */

import type { ModelOptions, Outcome, Scenario } from 'busbar/testing';
import type { BufferPool } from '../../src/pool/index.ts';
import type { OwnerDeath, RwLock } from '../../src/sync/index.ts';
import { STATE } from '../../src/sync/sync-layout.ts';
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

const OPERATIONS = 'tryRead, readSync, read, tryWrite, writeSync, write, unlock, downgrade';

export function rwLockParts(module: SyncModule): Part<SyncShared>[] {
  return [
    { name: 'rwlock', operations: OPERATIONS, cases: rwLockCases(module) },
    { name: 'rwlock: deaths', operations: OPERATIONS, cases: rwLockDeathCases(module) },
    { name: 'rwlock: exceptions', operations: OPERATIONS, cases: rwLockExceptionCases(module) },
  ];
}

type Threads = Scenario<SyncShared>['threads'];

// Spare words: what the lock protects, written plainly, so that threads that exclude each other
// without a common access are a race.
const COUNT = 0;
const INSIDE = 1;
/** In INSIDE: a thread is in the queue. */
const WAITS = 2;

/** What a thread does that writes. */
function change(lock: RwLock, words: Int32Array): void {
  if (words[INSIDE] !== 0 && !lock.ownerDied) throw new Error('another thread writes');
  words[INSIDE] = 1;
  words[COUNT]++;
  // A call, at which the thread may die.
  if (!lock.isWriting) throw new Error('it does not write');
  words[INSIDE] = 0;
}

/** What a thread does that reads. */
function look(lock: RwLock, words: Int32Array): void {
  const count = words[COUNT];
  if (words[INSIDE] !== 0 && !lock.ownerDied) throw new Error('half changed');
  if (words[COUNT] !== count) throw new Error('changed meanwhile');
}

function reads(lock: RwLock, words: Int32Array): string {
  const result = lock.readSync();
  if (result !== 'acquired') return result;
  look(lock, words);
  lock.unlockRead();
  return 'read';
}

function writes(timeoutMs?: number) {
  return (lock: RwLock, words: Int32Array): string => {
    const result = lock.writeSync(timeoutMs);
    if (result !== 'acquired') return result;
    change(lock, words);
    lock.unlockWrite();
    return 'written';
  };
}

async function readsLater(lock: RwLock, words: Int32Array): Promise<string> {
  const result = await lock.read();
  if (result !== 'acquired') return result;
  look(lock, words);
  lock.unlockRead();
  return 'read';
}

async function writesLater(lock: RwLock, words: Int32Array): Promise<string> {
  const result = await lock.write();
  if (result !== 'acquired') return result;
  change(lock, words);
  lock.unlockWrite();
  return 'written';
}

/** Gives up when its event loop has turned once. */
async function aborts(lock: RwLock, words: Int32Array): Promise<string> {
  const controller = new AbortController();
  const locking = lock.write({ signal: controller.signal });
  setImmediate(() => controller.abort());
  const result = await locking;
  if (result !== 'acquired') return result;
  change(lock, words);
  lock.unlockWrite();
  return 'written';
}

/** Each write was counted once, and the lock is free, with no thread in the queue. */
function checkEnd({ words, sync }: SyncShared, { results }: Outcome): void {
  const written = Object.values(results).filter((result) => result === 'written').length;
  if (words[COUNT] !== written) throw new Error(`${words[COUNT]} writes, not ${written}`);
  const state = new Int32Array(sync.control)[STATE];
  if (state !== 0) throw new Error(`at the end, STATE is ${state}`);
}

export function rwLockCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<RwLock>(module, module.RwLock);
  const cases: Case<SyncShared>[] = [];
  const add = (name: string, threads: Threads, more: ModelOptions = { preemptions: 1 }) => {
    const title = `rwlock: ${name}`;
    const scenario = syncScenario(module, title, creates(module), threads, { check: checkEnd });
    cases.push(syncCase(scenario, { states: 1500, ...more }));
  };
  const read = body(reads);
  const write = body(writes());
  const readLater = body(readsLater);
  const writeLater = body(writesLater);
  const reading = body(
    (lock, words) => {
      look(lock, words);
      lock.unlockRead();
    },
    (lock) => lock.tryRead(),
  );
  add('a reader, a writer', { a: read, b: write }, { preemptions: 2 });
  add('2 write', { a: write, b: write }, { preemptions: 2 });
  add('2 read, 1 writes', { a: read, b: read, c: write });
  add('2 write, 1 reads already', { a: write, b: writeLater, c: reading });
  add('1 reads already, 1 wants to, 1 to write', { a: reading, b: read, c: writeLater });
  add('2 wait, one to write', { a: readLater, b: writeLater, c: write });
  const impatient = body(writes(5));
  const late = { a: impatient, b: read, c: reading };
  add('a writer gives up', late, { preemptions: 1, timeouts: 1 });
  add('one aborts', { a: body(aborts), b: read, c: reading });
  const tries = body((lock, words) => {
    if (lock.tryRead() !== 'acquired') return;
    look(lock, words);
    lock.unlockRead();
  });
  const triesToWrite = body((lock, words) => {
    if (lock.tryWrite() !== 'acquired') return 'busy';
    change(lock, words);
    lock.unlockWrite();
    return 'written';
  });
  add('tryRead, tryWrite, write', { a: tries, b: triesToWrite, c: write });
  const downgrades = body((lock, words) => {
    lock.writeSync();
    change(lock, words);
    const count = words[COUNT];
    lock.downgrade();
    if (words[COUNT] !== count) throw new Error('a writer came in between');
    lock.unlockRead();
    return 'written';
  });
  add('downgrade', { a: downgrades, b: write });
  add('downgrade, 3 threads', { a: downgrades, b: write, c: read });
  // A second read of the same thread does not queue behind a writer that waits for the first.
  const twice = body((lock, words) => {
    lock.readSync();
    reads(lock, words);
    lock.unlockRead();
  });
  add('a reader reads again', { a: twice, b: write });
  const both = body(async (lock, words) => {
    const first = writesLater(lock, words);
    const second = lock.isWriting ? 'no' : reads(lock, words);
    if ((await first) !== 'written' || second === 'busy') throw new Error(second);
    return 'written';
  });
  add('2 wait in one thread', { a: both, b: reading, c: write });
  const frees = body(
    async (lock, _, __, locked) => {
      await locked;
      lock.unlockWrite();
    },
    (lock) => lockAsWaiter(lock),
  );
  const newcomer = body(overtakesNone);
  add('no waiter is overtaken by a newcomer', { a: frees, b: body(marksItsWait), c: newcomer });
  return cases;
}

/** Writes as one that has waited: others may still be in the queue, or none. */
function lockAsWaiter(lock: RwLock): Promise<string> {
  lock.tryWrite();
  const locked = lock.write();
  lock.unlockWrite();
  return locked;
}

async function marksItsWait(lock: RwLock, words: Int32Array): Promise<void> {
  const locking = lock.write();
  if (!lock.isWriting) Atomics.store(words, INSIDE, WAITS);
  await locking;
  Atomics.store(words, INSIDE, 0);
  lock.unlockWrite();
}

function overtakesNone(lock: RwLock, words: Int32Array): void {
  const isQueue = Atomics.load(words, INSIDE) === WAITS;
  if (lock.tryRead() !== 'acquired') return;
  // If that one had got it meanwhile, it would have said so before it gave it back.
  if (isQueue && Atomics.load(words, INSIDE) === WAITS) throw new Error('a waiter was overtaken');
  lock.unlockRead();
}

export function rwLockDeathCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<RwLock>(module, module.RwLock);
  const cases: Case<SyncShared>[] = [];
  const add = (
    name: string,
    death: OwnerDeath,
    threads: Threads,
    results: object,
    killable: readonly string[] = ['a'],
  ) => {
    const create = creates(module, death);
    const scenario = syncScenario(module, `rwlock: death: ${name}`, create, threads, {
      killable,
      check: (_, outcome) => {
        for (const [thread, expected] of Object.entries(results)) {
          expectResult(outcome, thread, expected);
        }
      },
    });
    const polls = /again/.test(name) ? ASKING.polls : 6;
    const kills = killable.length;
    const options: ModelOptions = { kills, deaths: 'calls', polls, timeouts: 0 };
    cases.push({
      scenario,
      quick: { ...options, preemptions: 0, states: 1500 },
      long: { ...options, preemptions: 1 },
    });
  };
  const read = body(reads);
  const write = body(writes());
  const writeLater = body(writesLater);
  const untold = body((lock, words) => {
    const result = writes()(lock, words);
    if (lock.ownerDied) throw new Error('a reader changes nothing');
    return result;
  });
  add('who reads', 'handOver', { a: read, b: untold }, { b: 'written' });
  const one = { b: 'read', c: 'written' };
  add('who writes', 'handOver', { a: write, b: read, c: write }, one);
  add('two that write', 'handOver', { a: write, b: read, c: write }, one, ['a', 'c']);
  add('who waits to write', 'handOver', { a: writeLater, b: read, c: writeLater }, one);
  const downgrades = body((lock, words) => {
    lock.writeSync();
    change(lock, words);
    lock.downgrade();
    lock.unlockRead();
  });
  add('downgrade', 'handOver', { a: downgrades, b: read, c: write }, one);
  add('poison', 'poison', { a: write, b: read, c: writeLater }, {});
  const asks = body((lock, words) => {
    const result = asksAgain(words, () => lock.tryRead(), 'busy');
    lock.unlockRead();
    return result;
  });
  const queue = { a: writeLater, b: write, c: asks };
  add('tryRead again and again', 'handOver', queue, { b: 'written', c: 'acquired' });
  return cases;
}

export function rwLockExceptionCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<RwLock>(module, module.RwLock);
  const options: ModelOptions = { exceptions: 1, preemptions: 1, timeouts: 0, polls: 0 };
  // What threw has changed nothing: it is done again, and nothing says that it was done before.
  const read = body((lock, words, self) => {
    insisting(self, () => lock.readSync());
    look(lock, words);
    insisting(self, () => lock.unlockRead());
  });
  const write = body((lock, words, self) => {
    insisting(self, () => lock.writeSync());
    change(lock, words);
    insisting(self, () => lock.unlockWrite());
    return 'written';
  });
  const downgrades = body((lock, words, self) => {
    insisting(self, () => lock.writeSync());
    change(lock, words);
    insisting(self, () => lock.downgrade());
    insisting(self, () => lock.unlockRead());
    return 'written';
  });
  const other = body(writes());
  return Object.entries({
    'readSync, unlockRead': { a: read, b: other },
    'writeSync, unlockWrite': { a: write, b: other, c: body(reads) },
    downgrade: { a: downgrades, b: other },
  }).map(([name, threads]) => ({
    scenario: syncScenario(module, `rwlock: exception: ${name}`, creates(module), threads, {
      check: checkEnd,
    }),
    quick: { ...options, states: 20_000 },
    long: options,
  }));
}

function creates(module: SyncModule, onOwnerDeath: OwnerDeath = 'handOver') {
  return (pool: BufferPool): RwLock => module.RwLock.create(pool, { onOwnerDeath });
}
