// SPDX-License-Identifier: MIT
/** What a subscription holds is bounded, and what it loses is counted, to the last message. */

import { expect, test } from 'vitest';
import { expectAllHome } from '../../test/pool-expectations.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { Bus } from './bus.ts';

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
