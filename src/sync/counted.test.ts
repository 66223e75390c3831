// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { turn } from '../../test/turns.ts';
import { BufferPool } from '../pool/index.ts';
import { Barrier, Countdown, WaitGroup } from './index.ts';

const notOwner = expect.objectContaining({ code: 'ERR_BUSBAR_NOT_OWNER' });

/** Attached twice, this thread counts as two. */
function two() {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
  return { pool, other: BufferPool.attach(pool.handle) };
}

function countdowns(count: number) {
  const { pool, other } = two();
  const a = Countdown.create(pool, count);
  return { pool, other, a, b: Countdown.attach(other, a.handle) };
}

function groups() {
  const { pool, other } = two();
  const a = WaitGroup.create(pool);
  return { pool, other, a, b: WaitGroup.attach(other, a.handle) };
}

function barriers() {
  const { pool, other } = two();
  const a = Barrier.create(pool);
  return { pool, other, a, b: Barrier.attach(other, a.handle) };
}

test('countdown: the last one runs it, once, and others wait for that', async () => {
  const { a, b } = countdowns(3);
  let runs = 0;
  const action = (): void => {
    runs++;
  };
  const waits = [a.wait(), b.wait({ timeoutMs: 1e9 })];
  expect([a.run(action), b.run(action), a.tryWait()]).toEqual(['counted', 'counted', 'busy']);
  expect([b.waitSync(1), a.count, runs]).toEqual(['timeout', 1, 0]);
  expect([b.run(action), runs, b.run(action), runs]).toEqual(['ran', 1, 'done', 1]);
  expect([await Promise.all(waits), a.waitSync()]).toEqual([['done', 'done'], 'done']);
  expect([a.add(), a.arrive(), a.enter()]).toEqual(['done', 'done', 'done']);
});

test('rsm Countdown: nobody could wait; a panic in it shows as a failure', async () => {
  const { a, b } = countdowns(1);
  const waiting = b.wait();
  expect(() => a.run(() => expect.unreachable('on purpose'))).toThrow('on purpose');
  expect([await waiting, a.tryWait(), b.arrive()]).toEqual(['failed', 'failed', 'failed']);
  expect(JSON.stringify(a)).toBe('{"type":"Countdown","state":"failed","count":0}');
});

test('countdown: what takes several turns is finished by the thread that was last', async () => {
  const { a, b } = countdowns(2);
  expect([a.arrive(), a.add(), a.arrive(), b.arrive()]).toEqual([
    'counted',
    'added',
    'counted',
    'last',
  ]);
  const waiting = a.wait();
  await turn();
  expect(() => a.finish()).toThrow(notOwner);
  expect(a.tryWait()).toBe('busy');
  b.finish();
  expect(() => b.fail()).toThrow(notOwner);
  expect(await waiting).toBe('done');
});

test('countdown: the last one does not wait for itself', async () => {
  const { a } = countdowns(1);
  const deadlock = expect.objectContaining({ code: 'ERR_BUSBAR_DEADLOCK' });
  const waits: Promise<string>[] = [];
  const result = a.run(() => {
    expect(() => a.waitSync()).toThrow(deadlock);
    expect(() => a.waitSync(1)).toThrow(deadlock);
    expect(a.tryWait()).toBe('busy');
    waits.push(a.wait());
  });
  expect([result, a.waitSync(), await waits[0]]).toEqual(['ran', 'done', 'done']);
});

test('countdown: whom others count down does not become the last by that', () => {
  const { a, b } = countdowns(1);
  // As often as it takes to reach the bit next to the count of those entered.
  for (let i = 0; i < 2 ** 16; i++) {
    b.join();
    a.arrive();
  }
  expect(() => b.finish()).toThrow(notOwner);
  expect([a.tryWait(), a.count]).toEqual(['busy', 1]);
});

test('countdown: a thread that dies as it runs it, or was to come, leaves no one waiting', () => {
  const last = countdowns(1);
  last.b.arrive();
  last.other.detach();
  expect([last.a.waitSync(), last.a.partyDied]).toEqual(['failed', true]);
  const counted = countdowns(2);
  counted.b.enter();
  counted.other.detach();
  expect(counted.a.recover()).toBe(true);
  let runs = 0;
  const result = counted.a.run(() => {
    runs++;
  });
  expect([result, runs, counted.a.partyDied]).toEqual(['ran', 1, true]);
});

test('wait group: waits end when nothing is left, also if more comes right after', async () => {
  const { a, b } = groups();
  expect([a.tryWait(), await b.wait()]).toEqual(['done', 'done']);
  a.add(2);
  const waits = [a.wait(), b.wait()];
  expect([b.done(), b.waitSync(1), a.done()]).toEqual(['counted', 'timeout', 'last']);
  a.add();
  const late = b.wait({ timeoutMs: 20 });
  expect(await Promise.all(waits)).toEqual(['done', 'done']);
  expect([await late, a.tryWait(), a.done(), b.tryWait()]).toEqual([
    'timeout',
    'busy',
    'last',
    'done',
  ]);
  expect(() => a.done()).toThrow(notOwner);
  expect(() => a.enter()).toThrow(notOwner);
  for (let round = 0; round < 10_000; round++) {
    a.add();
    a.done();
  }
  expect(JSON.stringify(a)).toBe('{"type":"WaitGroup","count":0,"partyDied":false}');
});

test('wait group: a thread that dies is counted down, once', async () => {
  const { a, b, other } = groups();
  a.add(2);
  expect([b.enter(), b.join(), b.done()]).toEqual(['entered', 'entered', 'counted']);
  const waiting = a.wait();
  expect([a.done(), a.count, a.partyDied]).toEqual(['counted', 1, false]);
  other.detach();
  expect([await waiting, a.partyDied, a.recover(), a.count]).toEqual(['done', true, false, 0]);
});

test('barrier: the last party is told, and early and late waiters come through', async () => {
  const { a, b } = barriers();
  const early = b.wait();
  expect([a.spawn(), a.done(), a.state]).toEqual(['added', 'counted', 'open']);
  expect([b.enter(), b.done(), await early]).toEqual(['entered', 'leader', 'done']);
  expect([a.waitSync(), a.spawn(), a.done(), b.cancel()]).toEqual(['done', 'done', 'done', 'done']);
  expect(b.join()).toBe('done');
});

test('barrier: cancel ends it for all, now and later', async () => {
  const { a, b } = barriers();
  const controller = new AbortController();
  const waits = [a.wait(), b.wait(), b.wait({ signal: controller.signal })];
  controller.abort();
  await turn();
  expect([b.cancel(), a.cancel(), a.state]).toEqual(['cancelled', 'cancelled', 'cancelled']);
  expect(await Promise.all(waits)).toEqual(['cancelled', 'cancelled', 'aborted']);
  expect([a.spawn(), a.done(), b.enter(), b.waitSync()]).toEqual(Array(4).fill('cancelled'));
});

test('barrier: a party that dies is not waited for, and the others learn of it', async () => {
  const { a, b, other } = barriers();
  a.spawn();
  b.enter();
  const waiting = a.wait();
  expect(a.done()).toBe('counted');
  other.detach();
  expect([await waiting, a.partyDied, a.tryWait()]).toEqual(['done', true, 'done']);
  expect(JSON.stringify(a)).toBe('{"type":"Barrier","state":"done","count":0,"partyDied":true}');
});

test('a thread that withdraws what never came stays responsible for its own', async () => {
  const party = barriers();
  party.b.join();
  party.a.done();
  party.b.spawn();
  // Its worker died before enter(); then it dies itself.
  expect([party.b.withdraw(), party.b.count]).toEqual(['counted', 1]);
  expect(() => party.b.withdraw()).toThrow(notOwner);
  const waiting = party.a.wait();
  party.other.detach();
  expect([await waiting, party.a.partyDied]).toEqual(['done', true]);

  const work = groups();
  work.b.join();
  work.a.add();
  expect([work.b.withdraw(), work.a.count]).toEqual(['counted', 1]);
  expect(() => work.b.withdraw()).toThrow(notOwner);
  work.other.detach();
  expect([work.a.waitSync(), work.a.partyDied]).toEqual(['done', true]);
  expect(() => work.a.withdraw()).toThrow(notOwner);

  const arrivals = countdowns(2);
  arrivals.b.enter();
  expect([arrivals.b.withdraw(), arrivals.a.count]).toEqual(['counted', 1]);
  arrivals.other.detach();
  expect(arrivals.a.waitSync()).toBe('failed');
});

test('who withdraws the last one leads, and an end stays an end', () => {
  const { a, b } = barriers();
  expect([a.spawn(), a.done(), b.withdraw(), a.waitSync()]).toEqual([
    'added',
    'counted',
    'leader',
    'done',
  ]);
  expect([a.withdraw(), a.cancel()]).toEqual(['done', 'done']);
  const last = countdowns(1);
  expect([last.a.withdraw(), last.b.withdraw()]).toEqual(['last', 'done']);
});

test('arguments, limits and handles are checked', async () => {
  const { a, pool, other } = groups();
  for (const count of [0, 1.5, 32_768]) {
    expect(() => Countdown.create(pool, count)).toThrow(RangeError);
    expect(() => a.add(count)).toThrow(/^count must be/);
  }
  expect(() => Countdown.create(pool, 1).run(7 as never)).toThrow(TypeError);
  a.add(32_000);
  expect(() => a.add(1000)).toThrow('count must be at most 767 now, got 1000');
  expect(() => a.waitSync(-1)).toThrow(/^timeoutMs must/);
  await expect(a.wait({ timeoutMs: -1 })).rejects.toThrow(RangeError);
  const bad = expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' });
  expect(() => Barrier.attach(pool, a.handle as never)).toThrow(bad);
  const detached = expect.objectContaining({ code: 'ERR_BUSBAR_DETACHED' });
  const [b, c] = [WaitGroup.attach(other, a.handle), Barrier.create(other)];
  other.detach();
  for (const call of [b.done, b.add, b.enter, b.tryWait]) {
    expect(() => call.call(b as never)).toThrow(detached);
  }
  expect(() => c.cancel()).toThrow(detached);
});
