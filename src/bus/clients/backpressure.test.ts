// SPDX-License-Identifier: MIT
/** Who waits, and who is cut off, when many clients do not read. */

import { BufferPool } from 'busbar/pool';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Backpressure, type PressedClient } from './backpressure.ts';
import { FairShare } from './fair-share.ts';

const BUFFER_SIZE = 1024;
const BUFFER_COUNT = 800;
const STALL_MS = 1000;
const LIMITS = { maxPendingBytes: 1 << 20, stallMs: STALL_MS };

let pool: BufferPool;
let nowMs = 0;
let clients: Client[];
let backpressure: Backpressure;
let turns: (() => void)[];

/** A client that is sent whole buffers and reads none. */
class Client implements PressedClient {
  readonly held: ReturnType<BufferPool['tryAcquire']>[] = [];
  isClosing = false;
  isHeldBack = false;
  wasDestroyed = false;
  proceeded = 0;
  written = 0;
  relievedCount = 0;
  readonly link = {
    writable: true,
    queuedBytes: 0,
    stats: () => ({ bytesWritten: this.written }),
    destroy: (): void => {
      this.wasDestroyed = true;
      for (const id of this.held.splice(0)) pool.release(id);
      this.link.queuedBytes = 0;
    },
  };

  /** As a connection does it. */
  tryWrite(): boolean {
    const id = this.isHeldBack ? -1 : pool.tryAcquire();
    if (id < 0) {
      backpressure.noRoom(this);
      return false;
    }
    this.held.push(id as ReturnType<BufferPool['tryAcquire']>);
    this.link.queuedBytes += BUFFER_SIZE;
    return true;
  }

  read(count: number = this.held.length): void {
    const read = this.held.splice(0, count);
    for (const id of read) pool.release(id);
    this.written += read.length * BUFFER_SIZE;
    this.link.queuedBytes = this.held.length * BUFFER_SIZE;
  }

  proceed(): void {
    this.proceeded++;
  }

  relieved(): void {
    this.relievedCount++;
  }

  tooSlow(): void {
    this.isClosing = true;
  }
}

function free(): number {
  const { freeShared, freeCached } = pool.stats();
  return freeShared + freeCached;
}

function runTurns(): void {
  for (const run of turns.splice(0)) run();
}

beforeEach(() => {
  pool = BufferPool.create({ bufferSize: BUFFER_SIZE, bufferCount: BUFFER_COUNT });
  nowMs = 0;
  clients = [];
  turns = [];
  const share = new FairShare((run) => turns.push(run));
  backpressure = new Backpressure(pool, share, clients, LIMITS, () => nowMs);
});

afterEach(() => {
  backpressure.close();
  for (const client of clients) client.read();
  pool.close();
});

function addClients(count: number): Client[] {
  const added = Array.from({ length: count }, () => new Client());
  clients.push(...added);
  return added;
}

/** Writes to each in turn until none takes more; a look after every few writes. */
function fillUp(slow: readonly Client[]): void {
  for (let isDone = false; !isDone; ) {
    isDone = true;
    for (const client of slow) {
      if (!client.isClosing && client.tryWrite()) isDone = false;
    }
    backpressure.look();
  }
}

test.each([1, 10, 50])('%i clients that do not read leave the others what they need', (count) => {
  const slow = addClients(count);
  const [innocent] = addClients(1);
  fillUp(slow);
  // The reserve, less what was written between two looks.
  expect(free()).toBeGreaterThanOrEqual(BUFFER_COUNT / 8 - count);
  for (let i = 0; i < 1000; i++) {
    expect(innocent.tryWrite()).toBe(true);
    innocent.read();
    if (i % 100 === 0) backpressure.look();
  }
  expect(innocent.isHeldBack).toBe(false);
  // All of them are cut off together, when the first is.
  nowMs = STALL_MS - 1;
  backpressure.check();
  expect(backpressure.slowCount).toBe(0);
  nowMs = STALL_MS;
  backpressure.check();
  expect(backpressure.slowCount).toBe(count);
  expect(slow.every((client) => client.isClosing)).toBe(true);
  expect(innocent.isClosing).toBe(false);
});

test('who reads again in time is not cut off, and those who wait for him go on', () => {
  const slow = addClients(10);
  fillUp(slow);
  const publisher = new Client();
  backpressure.block(publisher);
  slow[3].read();
  backpressure.look();
  runTurns();
  expect(slow[3].isHeldBack).toBe(false);
  expect(publisher.proceeded).toBe(1);
  nowMs = STALL_MS;
  backpressure.check();
  expect(slow.filter((client) => client.isClosing).length).toBe(9);
  expect(slow[3].isClosing).toBe(false);
});

test('when the pool is empty all the same, as many as give the reserve back go at once', () => {
  const many = addClients(BUFFER_COUNT / 2);
  // Two buffers each, and no look in between: nobody has more than another.
  for (let round = 0; round < 2; round++) for (const client of many) client.tryWrite();
  expect(free()).toBe(0);
  expect(many[0].tryWrite()).toBe(false);
  nowMs = STALL_MS;
  backpressure.check();
  const gone = many.filter((client) => client.wasDestroyed);
  expect(free()).toBeGreaterThanOrEqual(BUFFER_COUNT / 8);
  expect(gone.length).toBeGreaterThan(0);
  expect(backpressure.slowCount).toBe(gone.length);
});

test('one that is closing and still holds much gives it up, and counts once', () => {
  const [leaving] = addClients(1);
  fillUp([leaving]);
  leaving.isClosing = true;
  const rest: number[] = [];
  for (let id = pool.tryAcquire() as number; id >= 0; id = pool.tryAcquire() as number) {
    rest.push(id);
  }
  const [innocent] = addClients(1);
  expect(innocent.tryWrite()).toBe(false);
  nowMs = STALL_MS;
  backpressure.check();
  expect(leaving.wasDestroyed).toBe(true);
  expect(backpressure.slowCount).toBe(0);
  expect(free()).toBeGreaterThan(BUFFER_COUNT / 8);
  for (const id of rest) pool.release(id as never);
});

test('who is over the share is cut off in time, also if nobody writes to it any more', () => {
  const [slow] = addClients(1);
  while (!slow.isHeldBack) {
    slow.tryWrite();
    backpressure.look();
  }
  nowMs = STALL_MS;
  backpressure.check();
  expect(slow.isClosing).toBe(true);
});

test('who has as much waiting as one client may is held back, until it has read a part', () => {
  backpressure.close();
  const share = new FairShare((run) => turns.push(run));
  const limits = { maxPendingBytes: 20 * BUFFER_SIZE, stallMs: STALL_MS };
  backpressure = new Backpressure(pool, share, clients, limits, () => nowMs);
  const [slow] = addClients(1);
  for (let i = 0; i < 19; i++) slow.tryWrite();
  backpressure.look();
  expect(slow.isHeldBack).toBe(false);
  slow.tryWrite();
  backpressure.look();
  expect(slow.isHeldBack).toBe(true);
  slow.read(9);
  backpressure.look();
  expect(slow.isHeldBack).toBe(true);
  const relieved = slow.relievedCount;
  slow.read(1);
  backpressure.look();
  expect(slow.isHeldBack).toBe(false);
  expect(slow.relievedCount).toBe(relieved + 1);
});

test('a client that does not take its output in time is cut off, whoever waits for it', () => {
  backpressure.close();
  const share = new FairShare((run) => turns.push(run));
  const limits = { ...LIMITS, writeDeadlineMs: 500 };
  backpressure = new Backpressure(pool, share, clients, limits, () => nowMs);
  const [slow, steady, idle] = addClients(3);
  for (let round = 0; round < 10; round++) {
    nowMs = 60 * round;
    if (round === 0) for (let i = 0; i < 10; i++) slow.tryWrite();
    steady.tryWrite();
    backpressure.check();
    steady.read();
    if (round > 0) slow.read(1);
  }
  expect([slow, steady, idle].map((client) => client.isClosing)).toEqual([true, false, false]);
  expect(backpressure.slowCount).toBe(1);
});

test('when half of the reserve is gone, who has most waiting goes at once', () => {
  const slow = addClients(10);
  fillUp(slow);
  const innocents = addClients(10);
  for (const innocent of innocents) innocent.tryWrite();
  const rest: number[] = [];
  while (free() > BUFFER_COUNT / 16) rest.push(pool.tryAcquire());
  backpressure.look();
  expect(backpressure.slowCount).toBe(0);
  rest.push(pool.tryAcquire());
  backpressure.look();
  expect(free()).toBeGreaterThanOrEqual(BUFFER_COUNT / 8);
  const gone = slow.filter((client) => client.wasDestroyed).length;
  expect(gone).toBeGreaterThan(0);
  expect(gone).toBeLessThan(10);
  expect(innocents.some((client) => client.isClosing)).toBe(false);
  for (const id of rest) pool.release(id as never);
});

test('each of those who wait for room is the first once, also if the first takes it all', () => {
  const first: string[] = [];
  let isTaken = false;
  const waiters = ['a', 'b', 'c', 'd'].map((name) => {
    const waiter = {
      proceed: () => {
        if (!isTaken) first.push(name);
        isTaken = true;
        backpressure.block(waiter);
      },
    };
    return waiter;
  });
  for (const waiter of waiters) backpressure.block(waiter);
  for (let i = 0; i < 4; i++) {
    isTaken = false;
    backpressure.proceed();
    runTurns();
  }
  expect(first.sort()).toEqual(['a', 'b', 'c', 'd']);
});
