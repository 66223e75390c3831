// SPDX-License-Identifier: MIT
/**
 * Program of sync-allocation.test.ts: takes each primitive and gives it back, in each way that
 * makes no promise and no guard, while no other thread wants it; and asks for it, without waiting,
 * and waiting to a limit, while another thread has it; each round between two marks.
 */

import { writeSync } from 'node:fs';
import { BufferPool } from 'busbar/pool';
import {
  Barrier,
  Countdown,
  Event,
  Gate,
  Mutex,
  NO_SIGNAL,
  Once,
  RwLock,
  Semaphore,
  SeqLock,
  SignalTree,
  WaitGroup,
} from 'busbar/sync';

/** Objects of 16 bytes, one for each call, fill the young generation, 1 MiB, 3 times a round. */
const CALLS = 200_000;
/**
 * Calls that wait take some microseconds. Objects of 105 bytes, one for each call, show. The clock
 * makes up to two of 16 bytes on Node 20 and 22; calls that sleep make more numbers, so they are
 * fewer.
 */
const WAITING_CALLS = 10_000;
const SLEEPING_CALLS = 4_000;
const SLEEP_MS = 0.01;
/** The compiler makes objects, too; on a busy machine it comes late. */
const ROUNDS = 6;
/** Waits that end by their timeout: what is compiled afterwards has the ways that wait in it. */
const WAITS = 100;
const LONG_MS = 1000;

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 4 });
/** Another thread, as far as the pool knows. */
const other = BufferPool.attach(pool.handle);

/** Throws unless it is so: a use that fails would measure something else. */
function insist(result: string | number, expected: string | number): void {
  if (result !== expected) throw new Error(`${result}, not ${expected}`);
}

function untilTimeout(wait: () => unknown): void {
  for (let i = 0; i < WAITS; i++) wait();
}

const uses: Record<string, () => void> = {};
const waits: Record<string, () => void> = {};
const sleeps: Record<string, () => void> = {};

for (const order of ['barging', 'lifo', 'fair'] as const) {
  const mutex = Mutex.create(pool, { order });
  const holder = Mutex.attach(other, mutex.handle);
  holder.tryLock();
  untilTimeout(() => mutex.lockSync(0));
  holder.unlock();
  uses[`mutex ${order}: tryLock`] = () => {
    insist(mutex.tryLock(), 'acquired');
    mutex.unlock();
  };
  uses[`mutex ${order}: lockSync, tag`] = () => {
    insist(mutex.lockSync(), 'acquired');
    mutex.tag = 7;
    insist(mutex.tag, 7);
    mutex.unlock();
  };
  uses[`mutex ${order}: lockSync, a limit`] = () => {
    insist(mutex.lockSync(LONG_MS), 'acquired');
    mutex.unlock();
  };
}

const lock = RwLock.create(pool);
const writer = RwLock.attach(other, lock.handle);
const view = lock.readOnly;
writer.tryWrite();
untilTimeout(() => lock.readSync(0));
untilTimeout(() => lock.writeSync(0));
writer.unlockWrite();
uses['read-write lock: tryRead'] = () => {
  insist(lock.tryRead(), 'acquired');
  lock.unlockRead();
};
uses['read-write lock: readSync'] = () => {
  insist(lock.readSync(), 'acquired');
  lock.unlockRead();
};
uses['read-write lock: readSync, a limit'] = () => {
  insist(lock.readSync(LONG_MS), 'acquired');
  lock.unlockRead();
};
uses['read-write lock: a view'] = () => {
  insist(view.tryRead(), 'acquired');
  view.unlockRead();
};
uses['read-write lock: tryWrite'] = () => {
  insist(lock.tryWrite(), 'acquired');
  lock.unlockWrite();
};
uses['read-write lock: writeSync, downgrade'] = () => {
  insist(lock.writeSync(), 'acquired');
  lock.downgrade();
  lock.unlockRead();
};
uses['read-write lock: writeSync, a limit'] = () => {
  insist(lock.writeSync(LONG_MS), 'acquired');
  lock.unlockWrite();
};

for (const owned of [true, false]) {
  const semaphore = Semaphore.create(pool, { permits: 3, owned });
  const taker = Semaphore.attach(other, semaphore.handle);
  taker.tryAcquire(3);
  untilTimeout(() => semaphore.acquireSync(1, 0));
  taker.release(3);
  const name = owned ? 'semaphore, owned' : 'semaphore';
  uses[`${name}: tryAcquire`] = () => {
    insist(semaphore.tryAcquire(), 'acquired');
    insist(semaphore.release(), 'released');
  };
  uses[`${name}: acquireSync`] = () => {
    insist(semaphore.acquireSync(), 'acquired');
    insist(semaphore.release(), 'released');
  };
  uses[`${name}: acquireSync, two, a limit`] = () => {
    insist(semaphore.acquireSync(2, LONG_MS), 'acquired');
    insist(semaphore.release(2), 'released');
  };
}

for (const reset of ['manual', 'auto'] as const) {
  const event = Event.create(pool, { reset });
  untilTimeout(() => event.waitSync(0));
  uses[`event ${reset}: set, reset`] = () => {
    insist(event.set(), 'set');
    event.reset();
  };
  uses[`event ${reset}: set, tryWait`] = () => {
    insist(event.set(), 'set');
    insist(event.tryWait(), 'set');
    event.reset();
  };
  uses[`event ${reset}: set, waitSync`] = () => {
    insist(event.set(), 'set');
    insist(event.waitSync(), 'set');
    event.reset();
  };
}

const gate = Gate.create(pool);
const decide = (entries: number): boolean => entries > 0;
untilTimeout(() => gate.enterSync(0));
untilTimeout(() => gate.decideSync(decide, 0));
gate.open();
uses['gate: tryEnter'] = () => insist(gate.tryEnter(), 'entered');
uses['gate: enterSync'] = () => insist(gate.enterSync(), 'entered');
uses['gate: tryDecide'] = () => insist(gate.tryDecide(decide), 'entered');
uses['gate: decideSync'] = () => insist(gate.decideSync(decide, LONG_MS), 'entered');
uses['gate: close, open'] = () => {
  insist(gate.close(), 'closed');
  insist(gate.tryEnter(), 'closed');
  insist(gate.open(), 'opened');
};

const once = Once.create(pool);
const maker = Once.attach(other, once.handle);
const make = (): number => 7;
maker.tryBegin();
untilTimeout(() => once.runSync(make, 0));
untilTimeout(() => once.beginSync(0));
untilTimeout(() => once.tryRun(make));
maker.finish(7);
uses['once, done: tryBegin'] = () => insist(once.tryBegin(), 'done');
uses['once, done: beginSync'] = () => insist(once.beginSync(), 'done');
uses['once, done: tryRun'] = () => insist(once.tryRun(make), 'done');
uses['once, done: runSync'] = () => {
  insist(once.runSync(make), 'done');
  insist(once.value ?? -1, 7);
};
const failing = Once.create(pool);
uses['once: tryBegin, fail'] = () => {
  insist(failing.tryBegin(), 'begun');
  failing.fail();
};

const countdown = Countdown.create(pool, 1);
untilTimeout(() => countdown.waitSync(0));
uses['countdown: add, arrive'] = () => {
  insist(countdown.add(), 'added');
  insist(countdown.arrive(), 'counted');
  insist(countdown.tryWait(), 'busy');
};
const ended = Countdown.create(pool, 1);
untilTimeout(() => ended.waitSync(0));
ended.run(() => {});
uses['countdown, done: arrive, waitSync'] = () => {
  insist(ended.arrive(), 'done');
  insist(ended.waitSync(), 'done');
};

const group = WaitGroup.create(pool);
group.add();
untilTimeout(() => group.waitSync(0));
group.done();
uses['wait group: add, done, waitSync'] = () => {
  group.add();
  insist(group.done(), 'last');
  insist(group.waitSync(), 'done');
};
uses['wait group: join, done'] = () => {
  insist(group.join(), 'entered');
  insist(group.done(), 'last');
};

const barrier = Barrier.create(pool);
uses['barrier: spawn, withdraw'] = () => {
  insist(barrier.spawn(), 'added');
  insist(barrier.withdraw(), 'counted');
};
uses['barrier: spawn, done'] = () => {
  insist(barrier.spawn(), 'added');
  insist(barrier.done(), 'counted');
};

const seqLock = SeqLock.create(pool, { words: 4 });
const values = Int32Array.of(1, 2, 3, 4);
const seen = new Int32Array(4);
uses['seqlock: tryWrite, tryRead'] = () => {
  insist(seqLock.tryWrite(values), 'written');
  insist(seqLock.tryRead(seen), 'read');
};
uses['seqlock: writeSync, readSync'] = () => {
  insist(seqLock.writeSync(values), 'written');
  insist(seqLock.readSync(seen, LONG_MS), 'read');
};

const tree = SignalTree.create(pool, { signals: 2000 });
const signal = tree.signal(1500);
untilTimeout(() => tree.takeSync(0));
uses['signal tree: set, tryTake'] = () => {
  insist(tree.set(700), 'set');
  insist(tree.tryTake(), 700);
  insist(tree.tryTake(), NO_SIGNAL);
};
uses['signal tree: a signal, takeSync'] = () => {
  insist(signal.set(), 'set');
  insist(tree.takeSync(), 1500);
};

/** Adds ways to ask for what another thread has. */
function addBusy(one: string, ways: Record<string, () => unknown>, expected = 'busy'): void {
  for (const [way, ask] of Object.entries(ways)) {
    uses[`${one}: ${way}`] = () => {
      if (ask() !== expected) throw new Error(`not ${expected}`);
    };
  }
}

/** Adds a way to wait for what another thread has, to its limit; some of them asleep. */
function addWait(name: string, wait: (timeoutMs: number) => string | number): void {
  const expected = name === 'signal tree' ? NO_SIGNAL : 'timeout';
  waits[`${name}, to a limit`] = () => insist(wait(0), expected);
  const isOneOf = name === 'mutex fair' || name === 'signal tree' || name === 'gate, decide';
  if (isOneOf) sleeps[`${name}, asleep`] = () => insist(wait(SLEEP_MS), expected);
}

for (const order of ['barging', 'lifo', 'fair'] as const) {
  const mutex = Mutex.create(pool, { order });
  Mutex.attach(other, mutex.handle).tryLock();
  addWait(`mutex ${order}`, (timeoutMs) => mutex.lockSync(timeoutMs));
  addBusy(`mutex ${order}, held`, { tryLock: () => mutex.tryLock() });
  addBusy(`mutex ${order}, held`, { tryGuard: () => mutex.tryGuard() ?? 'none' }, 'none');
}
for (const way of ['tryWrite', 'tryRead'] as const) {
  const held = RwLock.create(pool);
  RwLock.attach(other, held.handle)[way]();
  addBusy(`read-write lock, after ${way}`, { tryWrite: () => held.tryWrite() });
  addWait(`read-write lock, after ${way}, write`, (timeoutMs) => held.writeSync(timeoutMs));
  if (way === 'tryWrite') addWait('read', (timeoutMs) => held.readSync(timeoutMs));
  if (way === 'tryWrite') addBusy('read-write lock, held', { tryRead: () => held.tryRead() });
}
for (const owned of [true, false]) {
  const semaphore = Semaphore.create(pool, { permits: 1, owned });
  Semaphore.attach(other, semaphore.handle).tryAcquire();
  addBusy(`semaphore, owned: ${owned}, empty`, { tryAcquire: () => semaphore.tryAcquire() });
  addWait(`semaphore, owned: ${owned}`, (timeoutMs) => semaphore.acquireSync(1, timeoutMs));
}
for (const reset of ['manual', 'auto'] as const) {
  const event = Event.create(pool, { reset });
  addBusy(`event ${reset}, not set`, { tryWait: () => event.tryWait() }, 'unset');
  addWait(`event ${reset}`, (timeoutMs) => event.waitSync(timeoutMs));
}
const closed = Gate.create(pool);
const gateWays = { tryEnter: () => closed.tryEnter(), tryDecide: () => closed.tryDecide(decide) };
addBusy('gate, closed', gateWays, 'closed');
addWait('gate, enter', (timeoutMs) => closed.enterSync(timeoutMs));
addWait('gate, decide', (timeoutMs) => closed.decideSync(decide, timeoutMs));
const begun = Once.create(pool);
Once.attach(other, begun.handle).tryBegin();
addBusy('once, begun', { tryBegin: () => begun.tryBegin(), tryRun: () => begun.tryRun(make) });
addWait('once, begin', (timeoutMs) => begun.beginSync(timeoutMs));
addWait('once, run', (timeoutMs) => begun.runSync(make, timeoutMs));
const pending = Countdown.create(pool, 1);
addWait('countdown', (timeoutMs) => pending.waitSync(timeoutMs));
addBusy('countdown, not done', { tryWait: () => pending.tryWait() });
const adding = WaitGroup.create(pool);
adding.add();
addBusy('wait group, not done', { tryWait: () => adding.tryWait() });
addWait('wait group', (timeoutMs) => adding.waitSync(timeoutMs));
addWait('barrier', (timeoutMs) => barrier.waitSync(timeoutMs));
addBusy('barrier, not done', { tryWait: () => barrier.tryWait() });
const written = SeqLock.create(pool, { words: 4 });
Mutex.attach(other, written.handle.writers).tryLock();
addBusy('seqlock, written', { tryWrite: () => written.tryWrite(values) });
addWait('seqlock, write', (timeoutMs) => written.writeSync(values, timeoutMs));
addWait('signal tree', (timeoutMs) => tree.takeSync(timeoutMs));

/** What the test must find. */
const kept: { last: object } = { last: {} };
uses['an object for each call'] = () => {
  kept.last = { before: kept.last === undefined };
};

function measure(all: Record<string, () => void>, calls: number): void {
  for (const [name, use] of Object.entries(all)) {
    for (let round = 0; round < ROUNDS; round++) {
      writeSync(1, `begin ${name}\n`);
      for (let i = 0; i < calls; i++) use();
      writeSync(1, 'end\n');
    }
  }
}

measure(uses, CALLS);
measure(waits, WAITING_CALLS);
measure(sleeps, SLEEPING_CALLS);
