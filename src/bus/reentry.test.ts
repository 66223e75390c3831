// SPDX-License-Identifier: MIT
/** What runs while a message is put into queues: `onError`, and calls that wait to publish. */

import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { Bus } from './bus.ts';
import type { BusSubscription } from './bus-subscription.ts';

const TEXTS = ['one', 'two', 'three'];

function setUp(): { bus: Bus } {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 16, maxThreads: 1 });
  return { bus: new Bus(pool) };
}

function finish(bus: Bus): void {
  bus.close();
  expect(bus.pool.close().heldByThreads).toBe(0);
}

async function readAll(subscription: BusSubscription): Promise<string[]> {
  const texts: string[] = [];
  const drained = subscription.drain();
  for await (const message of subscription) texts.push(message.text());
  await drained;
  return texts;
}

test('an onError that publishes while others wait for the message changes nothing', async () => {
  const { bus } = setUp();
  const onError = (): void => {
    expect(bus.tryPublish('n', 'alarm')).toBe(true);
  };
  const heard: string[] = [];
  const before = bus.subscribe('n');
  const slow = bus.subscribe('n', { overflow: 'cut-off', limit: { messages: 1 }, onError });
  const after = bus.subscribe('n');
  bus.subscribe('n', (message) => void heard.push(message.text()));
  expect(bus.tryPublish('n', 'one')).toBe(true);
  expect(bus.tryPublish('n', 'two')).toBe(true);
  expect(bus.tryPublish('n', 'three')).toBe(true);
  expect(slow.state).toBe('closed');
  const all = ['one', 'two', 'alarm', 'three'];
  expect(heard).toEqual(all);
  expect(await readAll(before)).toEqual(all);
  expect(await readAll(after)).toEqual(all);
  finish(bus);
});

test('what is published while a message of a handler is put into queues comes after it', () => {
  const { bus } = setUp();
  const heard: string[] = [];
  bus.subscribe('start', () => {
    for (const text of ['one', 'two']) expect(bus.tryPublish('n', text)).toBe(true);
  });
  const onError = (): void => {
    expect(bus.tryPublish('n', 'alarm')).toBe(true);
  };
  bus.subscribe('n', { overflow: 'cut-off', limit: { messages: 1 }, onError });
  bus.subscribe('n', (message) => void heard.push(message.text()));
  expect(bus.tryPublish('start', '')).toBe(true);
  expect(heard).toEqual(['one', 'two', 'alarm']);
  finish(bus);
});

test('a member whose turn is lost while a message is put into queues keeps the order', () => {
  const { bus } = setUp();
  const heard: string[] = [];
  const first = bus.subscribe('n', { queue: 'q' });
  bus.subscribe('start', () => {
    for (const text of ['one', 'two', 'three']) expect(bus.tryPublish('n', text)).toBe(true);
  });
  const onError = (): void => first.close();
  bus.subscribe('n', { overflow: 'cut-off', limit: { messages: 1 }, onError });
  bus.subscribe('n', { queue: 'q' }, (message) => void heard.push(message.text()));
  bus.tryPublish('start', '');
  // The loop had one of them, and dropped it when it was closed.
  expect(heard).toEqual([...heard].sort((a, b) => TEXTS.indexOf(a) - TEXTS.indexOf(b)));
  expect(heard.length).toBeGreaterThanOrEqual(2);
  finish(bus);
});

test('room that a waiting call makes is for the calls that were tried before it', async () => {
  const { bus } = setUp();
  const limit = { messages: 1 };
  const first = bus.subscribe('x', { limit });
  const second = bus.subscribe('y', { limit });
  bus.subscribe('y', (message) => {
    if (message.text() === 'b2') first.close();
  });
  expect(bus.tryPublish('x', 'a1')).toBe(true);
  expect(bus.tryPublish('y', 'b1')).toBe(true);
  const waiting = [bus.publish('x', 'a2'), bus.publish('y', 'b2')];
  const loop = second[Symbol.asyncIterator]();
  await loop.next();
  void loop.next();
  await Promise.all(waiting);
  expect(bus.stats().waiting).toBe(0);
  finish(bus);
});

test('a handler that changes the length of its message does not change the room', async () => {
  const { bus } = setUp();
  const limit = { bytes: 16 };
  const loop = bus.subscribe('n', { limit });
  let handled = 0;
  bus.subscribe('n', { limit, concurrency: 1 }, (message) => {
    handled++;
    (message as { length: number }).length = 1;
  });
  const messages = loop[Symbol.asyncIterator]();
  let next = messages.next();
  for (let i = 0; i < 4; i++) {
    await bus.publish('n', '12345678');
    const { value } = await next;
    value.length = 2;
    next = messages.next();
  }
  expect(bus.tryPublish('n', '1234')).toBe(true);
  expect(bus.tryPublish('n', '1234'), 'there is room for two').toBe(true);
  loop.close();
  await bus.drain();
  expect(handled).toBe(6);
  finish(bus);
});

test('a call that waits for a subscriber goes on when that has closed', async () => {
  const { bus } = setUp();
  const full = bus.subscribe('x', { limit: { messages: 1 } });
  expect(bus.tryPublish('x', 'one')).toBe(true);
  const waiting = bus.publish('x', 'two');
  expect(bus.stats().waiting).toBe(1);
  full.close();
  expect(bus.stats().waiting).toBe(0);
  await waiting;
  finish(bus);
});

test('replies end at the timeout, too, if their request cannot be published', async () => {
  const { bus } = setUp();
  const full = bus.subscribe('x', { limit: { messages: 1 } });
  expect(bus.tryPublish('x', 'one')).toBe(true);
  const replies = [];
  for await (const reply of bus.replies('x', 'two', { timeoutMs: 1 })) replies.push(reply);
  expect(replies).toEqual([]);
  expect(bus.stats()).toMatchObject({ waiting: 0, subscriptions: 1 });
  expect(full.held).toBe(1);
  finish(bus);
});
