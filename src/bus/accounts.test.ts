// SPDX-License-Identifier: MIT
/** What a subscription holds is bounded, and what it loses is counted, to the last message. */

import { expect, test } from 'vitest';
import { expectAllHome } from '../../test/pool-expectations.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { Bus } from './bus.ts';
import type { BusMessage } from './bus-message.ts';

function setUp(options = {}): { pool: BufferPool; bus: Bus; finish: () => void } {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 32, maxThreads: 1 });
  const bus = new Bus(pool, options);
  const finish = (): void => {
    bus.close();
    expectAllHome(pool);
  };
  return { pool, bus, finish };
}

async function ticks(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
}

/** Publishes packets until one is refused, and lets handlers take them. Returns how many. */
async function fill(bus: Bus, countMax: number): Promise<number> {
  for (let sent = 0; sent < countMax; sent++) {
    const packet = Packet.tryFrom(bus.pool, 'x');
    if (packet === undefined) throw new Error('the pool is empty');
    if (!bus.tryPublish('a', packet)) {
      packet.release();
      return sent;
    }
    await ticks();
  }
  return countMax;
}

test('messages in hand count for the bound of buffers', async () => {
  const { bus, finish } = setUp();
  const free: (() => void)[] = [];
  const limit = { buffers: 3 };
  const busy = bus.subscribe('a', { limit, concurrency: 16 }, () => {
    return new Promise<void>((resolve) => free.push(resolve));
  });
  expect(await fill(bus, 20)).toBe(3);
  expect({ held: busy.held, calls: free.length }).toEqual({ held: 3, calls: 3 });
  // Any one that is done makes room for one, whatever its place.
  free.splice(1, 1)[0]();
  await ticks();
  expect(await fill(bus, 20)).toBe(1);
  for (const done of free.splice(0)) done();
  await ticks();
  expect(await fill(bus, 2)).toBe(2);
  for (const done of free.splice(0)) done();
  await busy.drain();
  finish();
});

test('small messages in hand that share a buffer count as one', async () => {
  const { bus, finish } = setUp();
  const free: (() => void)[] = [];
  const busy = bus.subscribe('a', { limit: { buffers: 2 }, concurrency: 16 }, () => {
    return new Promise<void>((resolve) => free.push(resolve));
  });
  for (let i = 0; i < 8; i++) {
    expect(bus.tryPublish('a', 'x')).toBe(true);
    await Promise.resolve();
  }
  expect({ held: busy.held, calls: free.length }).toEqual({ held: 8, calls: 8 });
  for (const done of free.splice(0)) done();
  await busy.drain();
  finish();
});

test('a loop has its message in hand, and one buffer less to wait in', async () => {
  const { bus, finish } = setUp();
  const loop = bus.subscribe('a', { limit: { buffers: 2 } });
  const messages = loop[Symbol.asyncIterator]();
  expect(await fill(bus, 1)).toBe(1);
  await messages.next();
  expect(await fill(bus, 9)).toBe(1);
  await messages.next();
  expect(await fill(bus, 9)).toBe(1);
  loop.close();
  finish();
});

test('every message that is dropped for a new one is counted', () => {
  const { bus, finish } = setUp();
  const limit = { bytes: 100 };
  const loop = bus.subscribe('a', { overflow: 'drop-oldest', limit });
  for (let i = 0; i < 9; i++) expect(bus.tryPublish('a', new Uint8Array(10))).toBe(true);
  expect(bus.tryPublish('a', new Uint8Array(200))).toBe(true);
  expect({ held: loop.held, dropped: loop.dropped }).toEqual({ held: 10, dropped: 0 });
  // It needs the room of all ten.
  expect(bus.tryPublish('a', new Uint8Array(1))).toBe(true);
  expect(loop.held + loop.dropped).toBe(11);
  finish();
});

test('a message that finds no room, whatever is dropped for it, is counted, too', async () => {
  const { bus, finish } = setUp();
  const limit = { bytes: 100 };
  const loop = bus.subscribe('a', { overflow: 'drop-oldest', limit });
  const messages = loop[Symbol.asyncIterator]();
  for (let i = 0; i < 3; i++) bus.tryPublish('a', new Uint8Array(10));
  bus.tryPublish('a', new Uint8Array(200));
  for (let i = 0; i < 4; i++) await messages.next();
  // The long one is in hand.
  for (let i = 0; i < 5; i++) expect(bus.tryPublish('a', new Uint8Array(10))).toBe(true);
  expect({ held: loop.held, dropped: loop.dropped }).toEqual({ held: 1, dropped: 5 });
  loop.close();
  finish();
});

test('a member that ends before its turn leaves the message to another', () => {
  const { bus, finish } = setUp();
  const got: string[] = [];
  const take = (name: string) => (message: BusMessage) =>
    void got.push(`${name} ${message.text()}`);
  bus.subscribe('work', { queue: 'q', max: 1 }, take('once'));
  bus.subscribe('work', { queue: 'q' }, take('ever'));
  bus.subscribe('start', () => {
    // They wait until this returns: the first has its turn for two of them.
    for (let i = 0; i < 4; i++) expect(bus.tryPublish('work', String(i))).toBe(true);
  });
  bus.tryPublish('start', '');
  expect(got.map((each) => each.split(' ')[1])).toEqual(['0', '1', '2', '3']);
  expect(got.filter((each) => each.startsWith('once'))).toHaveLength(1);
  finish();
});

test('a member that another handler closes leaves the message to another, or a loop', async () => {
  const { bus, finish } = setUp();
  const got: string[] = [];
  bus.subscribe('work', () => {
    if (bus.stats().published === 1) first.close();
  });
  const first = bus.subscribe('work', { queue: 'q' }, () => void got.push('first'));
  const loop = bus.subscribe('work', { queue: 'q' });
  for (let i = 0; i < 2; i++) expect(bus.tryPublish('work', String(i))).toBe(true);
  expect({ got, held: loop.held, lost: bus.stats().lost }).toEqual({ got: [], held: 2, lost: 0 });
  const drained = loop.drain();
  for await (const message of loop) got.push(message.text());
  await drained;
  expect(got.sort()).toEqual(['0', '1']);
  finish();
});

test('a group whose members have all ended loses the message, which is counted', () => {
  const { bus, finish } = setUp();
  let got = 0;
  bus.subscribe('work', { queue: 'q', max: 1 }, () => void got++);
  bus.subscribe('start', () => {
    for (let i = 0; i < 3; i++) expect(bus.tryPublish('work', String(i))).toBe(true);
  });
  bus.tryPublish('start', '');
  expect({ got, lost: bus.stats().lost }).toEqual({ got: 1, lost: 2 });
  finish();
});
