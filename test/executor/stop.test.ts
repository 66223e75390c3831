// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { until } from '../turns.ts';
import {
  company,
  createPool,
  ExecutorGroup,
  expectAllBack,
  hear,
  openGate,
  packetOf,
  tell,
  untilAtGate,
} from './company.ts';
import * as deeds from './deeds.ts';

// In shared-nothing stop() drops what is queued: 500 sent, none handled.
test.each(['handler', 'loop', 'poll'] as const)(
  'stop handles everything that was sent, read by a %s',
  async (reads) => {
    const pool = createPool(1024);
    const { options, words } = company(pool, { reads });
    const group = await ExecutorGroup.start(options);
    for (let i = 0; i < 500; i++) expect(group.trySend(i, packetOf(pool, 'drop'))).toBe(true);
    expect(await group.stop()).toMatchObject({ handled: 500, dropped: 0 });
    await group.closed;
    expect(words[deeds.SEEN]).toBe(500);
    for (const { state, counters, queued } of group.stats()) {
      expect({ state, queued }).toEqual({ state: 'ended', queued: 0 });
      expect(counters[deeds.DEFERRED]).toBe(1);
      expect(counters[deeds.ABORTED]).toBe(1);
    }
    expectAllBack(pool);
  },
);

test('what executors send each other and the host while they drain is handled, too', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start({ ...options, count: 3 });
  const heard = hear(group);
  tell(group, pool, 0, 'block');
  await untilAtGate(words, 1);
  for (let i = 0; i < 40; i++) tell(group, pool, 0, 'pass 1 pass 2 pass 0 pass 2 echo');
  const report = group.stop();
  openGate(words);
  expect(await report).toMatchObject({ handled: 1 + 40 * 5, dropped: 0 });
  expect(heard.length).toBe(40);
  expectAllBack(pool);
});

test('a group that never comes to rest is stopped all the same', async () => {
  const pool = createPool();
  const group = await ExecutorGroup.start(company(pool).options);
  for (let i = 0; i < 3; i++) tell(group, pool, 0, 'bounce');
  // A thread that gets no processor for half a second is terminated with what it had in hand.
  const { dropped, leaked } = await group.stop({ deadlineMs: 100 });
  expect(dropped + leaked).toBe(3);
  await group.closed;
  expectAllBack(pool);
});

test('stop now drops what is queued, counts it, and gives it back', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start(options);
  for (const index of [0, 1]) tell(group, pool, index, 'block');
  await untilAtGate(words, 2);
  for (let i = 0; i < 60; i++) tell(group, pool, i % 2, 'drop');
  const report = group.stop({ mode: 'now' });
  openGate(words);
  const { handled, dropped } = await report;
  expect(handled + dropped).toBe(62);
  await group.closed;
  expectAllBack(pool);
});

test.each(['block', 'spin'])(
  'a thread that only %ss is terminated at the deadline',
  async (deed) => {
    const pool = createPool();
    const { options, words } = company(pool);
    const group = await ExecutorGroup.start(options);
    tell(group, pool, 0, 'hold');
    tell(group, pool, 0, deed);
    await untilAtGate(words, 1);
    for (let i = 0; i < 10; i++) tell(group, pool, 0, 'drop');
    tell(group, pool, 1, 'drop');
    const report = group.stop({ mode: 'now', deadlineMs: 20 });
    expect(group.stop()).toBe(report);
    expect((await report).dropped).toBeGreaterThanOrEqual(10);
    await group.closed;
    expectAllBack(pool);
  },
);

test('a handler of the host that does not return is waited for until the deadline', async () => {
  const pool = createPool();
  const group = await ExecutorGroup.start(company(pool).options);
  let free = (): void => {};
  const gate = new Promise<void>((resolve) => {
    free = resolve;
  });
  const kept: unknown[] = [];
  group.mailbox.handle(async (packet) => {
    kept.push(packet);
    await gate;
    packet.release();
  });
  for (let i = 0; i < 3; i++) tell(group, pool, 0, 'echo');
  await until(() => kept.length === 1 && group.stats()[0]?.handled === 3);
  expect(await group.stop({ deadlineMs: 200 })).toMatchObject({ handled: 3, dropped: 2 });
  free();
  await new Promise(setImmediate);
  expectAllBack(pool);
});

test('a second stop that says now makes the first one hurry', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start(options);
  tell(group, pool, 0, 'block');
  await untilAtGate(words, 1);
  const report = group.stop({ deadlineMs: 1e9 });
  expect(group.stop({ mode: 'now', deadlineMs: 0 })).toBe(report);
  await report;
  await group.closed;
  expectAllBack(pool);
});

test('a stopped group refuses packets, and leaves them with the caller', async () => {
  const pool = createPool();
  const group = await ExecutorGroup.start(company(pool).options);
  await group.stop();
  const packet = packetOf(pool, 'drop');
  const closed = expect.objectContaining({ code: 'ERR_BUSBAR_CHANNEL_CLOSED' });
  expect(() => group.trySendTo(0, packet)).toThrow(closed);
  await expect(group.send('key', packet)).rejects.toEqual(closed);
  expect(group.tryBroadcast(packet)).toEqual({ sent: [], full: [], closed: [0, 1] });
  await expect(group.ping(0)).rejects.toMatchObject({ code: 'ERR_BUSBAR_EXECUTOR_STOPPED' });
  await expect(group.pause()).rejects.toMatchObject({ code: 'ERR_BUSBAR_EXECUTOR_STOPPED' });
  packet.release();
  expectAllBack(pool);
});

test('what executors hold when they end is given back', async () => {
  const pool = createPool();
  const group = await ExecutorGroup.start(company(pool).options);
  for (let i = 0; i < 20; i++) tell(group, pool, i % 2, 'hold');
  expect(await group.stop()).toMatchObject({ handled: 20, dropped: 0 });
  expectAllBack(pool);
});

test('a mailbox that nobody reads is emptied, and does not delay the end', async () => {
  const pool = createPool();
  const { options } = company(pool, { reads: 'never' });
  const group = await ExecutorGroup.start(options);
  for (let i = 0; i < 20; i++) tell(group, pool, i % 2, 'drop');
  expect(await group.stop({ deadlineMs: 1e9 })).toMatchObject({ handled: 0, dropped: 20 });
  expectAllBack(pool);
});

test('the last words of executors reach the host, by handler or read afterwards', async () => {
  const pool = createPool();
  const { options } = company(pool, { last: 'send' });
  const group = await ExecutorGroup.start(options);
  const heard = hear(group);
  await group.stop();
  expect(heard.map(({ text }) => text)).toEqual(['bye', 'bye']);

  const other = await ExecutorGroup.start(options);
  await other.stop();
  const texts: string[] = [];
  for await (const packet of other.mailbox) {
    texts.push(`${packet} from ${other.mailbox.from}`);
    packet.release();
  }
  expect(texts.sort()).toEqual(['bye from 0', 'bye from 1']);
  expectAllBack(pool);
});

test('a defer that never ends is not waited for beyond the deadline', async () => {
  const pool = createPool();
  const { options } = company(pool, { last: 'hang' });
  const group = await ExecutorGroup.start(options);
  tell(group, pool, 0, 'drop');
  await until(() => group.stats()[0]?.handled === 1);
  expect(await group.stop({ deadlineMs: 50 })).toMatchObject({ handled: 1, dropped: 0 });
  await group.closed;
  expectAllBack(pool);
});

// In shared-nothing stop_all() ends one worker after the other.
test('all executors end in parallel', async () => {
  const pool = createPool();
  const { options, words } = company(pool, { last: 'meet' });
  const group = await ExecutorGroup.start({ ...options, count: 3 });
  await group.stop({ deadlineMs: 1e9 });
  await group.closed;
  expect(words[deeds.AT_GATE]).toBe(3);
  expectAllBack(pool);
});

test('a defer that throws is a crash', async () => {
  const pool = createPool();
  const { options } = company(pool, { last: 'throw' });
  const group = await ExecutorGroup.start(options);
  const closed = expect(group.closed).rejects.toMatchObject({
    code: 'ERR_BUSBAR_EXECUTOR_CRASHED',
    cause: { message: deeds.TOLD_TO_THROW },
  });
  await group.stop();
  await closed;
  expectAllBack(pool);
});

test('leaving its block stops the group', async () => {
  const pool = createPool();
  const group = await ExecutorGroup.start(company(pool).options);
  await group[Symbol.asyncDispose]();
  await until(() => group.stats().every(({ state }) => state === 'ended'));
  expectAllBack(pool);
});

test('a stop reports what was leaked, and who had to be terminated', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start(options);
  for (const deed of ['hold', 'hold', 'echo']) tell(group, pool, 0, deed);
  tell(group, pool, 1, 'spin');
  await untilAtGate(words, 1);
  const stuck = group.ping(1, { timeoutMs: 1 });
  await expect(stuck).rejects.toMatchObject({ code: 'ERR_BUSBAR_TIMEOUT', message: /ping, 1 ms/ });
  const report = await group.stop({ mode: 'drain', deadlineMs: 0 });
  expect(report).toMatchObject({ leaked: 3, terminated: [1] });
  await group.closed;
  for await (const packet of group.mailbox) packet.release();
  expectAllBack(pool);
});
