// SPDX-License-Identifier: MIT
/**
 * Subscribers and publishers that mean harm, beside others: what those get, and how much is held,
 * counted; never how long it takes.
 */
import { Bus } from 'busbar/bus';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { expectAllHome } from '../pool-expectations.ts';
import { PeerNetwork } from './peer/network.ts';

const LARGE = 'ERR_BUSBAR_MESSAGE_TOO_LARGE';

function codeOf(act: () => unknown): string {
  try {
    return String(act());
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Lets promises settle. */
async function ticks(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test('a subscriber that is never done holds its bound; only its own subject stops', async () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 64 });
  const bus = new Bus(pool, { backlogMax: 16 });
  const never = bus.subscribe('bad', async () => new Promise(() => {}));
  let good = 0;
  bus.subscribe('good', () => void good++);
  let sent = 0;
  for (let i = 0; i < 1000; i++) {
    const packet = Packet.tryFrom(pool, 'x');
    if (packet === undefined) throw new Error('the pool is empty');
    if (bus.tryPublish('bad', packet)) sent++;
    else packet.release();
    expect(bus.tryPublish('good', 'y')).toBe(true);
  }
  expect({ sent, good }).toEqual({ sent: 8, good: 1000 });
  expect(never.held, 'an eighth of the pool').toBe(8);
  // Those who wait for it are bounded, too, and others publish past them.
  const waits = Array.from({ length: 40 }, () => bus.publish('bad', 'z').catch(codeOfError));
  await ticks();
  expect(bus.stats().waiting).toBe(16);
  expect(await Promise.all(waits.slice(16))).toEqual(
    Array.from({ length: 24 }, () => 'ERR_BUSBAR_BUS_CROWDED'),
  );
  expect(bus.tryPublish('good', 'y')).toBe(true);
  never.close();
  await Promise.all(waits.slice(0, 16));
  bus.close();
  await ticks();
  // The handler that never returns still borrows one message.
  expect(pool.who().held).toBeLessThanOrEqual(1);
});

function codeOfError(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

test('a peer that takes nothing holds a window, and the others get everything', () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 256 });
  const network = new PeerNetwork(pool, 3);
  const bus = network.start(0);
  network.start(1).subscribe('bad', () => {});
  let good = 0;
  network.start(2).subscribe('good', () => void good++);
  network.settle();
  // From now on it reads nothing: it never says DONE.
  network.room.set('0>1', 0);
  let sent = 0;
  for (let i = 0; i < 2000; i++) {
    const packet = Packet.tryFrom(pool, 'x');
    if (packet === undefined) throw new Error('the pool is empty');
    if (bus.tryPublish('bad', packet)) sent++;
    else packet.release();
    expect(bus.tryPublish('good', 'y')).toBe(true);
    if (i % 16 === 0) {
      bus.tryPublish('other', '');
      for (let from = 0; from < 3; from++) network.flush();
      while (network.deliver(0, 2) || network.deliver(2, 0));
    }
  }
  network.flush();
  while (network.deliver(0, 2));
  expect(good).toBe(2000);
  // A window of half a lane of 64; a packet is two regions.
  expect(sent).toBe(16);
  expect(bus.stats().regionsOut, 'of both peers').toBeLessThanOrEqual(64);
  network.end();
  expectAllHome(pool);
});

test('handlers that throw, at once and later, cost others nothing', async () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 32 });
  let errors = 0;
  const bus = new Bus(pool, { onError: () => void errors++ });
  const got: number[] = [];
  for (let i = 0; i < 8; i++) {
    bus.subscribe('a', () => {
      throw new Error('at once');
    });
    bus.subscribe('a', async () => {
      throw new Error('later');
    });
    bus.subscribe('a', (message) => void got.push(Number(message.text())));
  }
  for (let i = 0; i < 100; i++) await bus.publish('a', String(i));
  await bus.drain();
  expect(errors).toBe(1600);
  expect(got).toEqual(Array.from({ length: 800 }, (_, i) => i >> 3));
  expectAllHome(pool);
});

test('10⁵ subscriptions that come and go leave nothing, and no other subject pays', () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64 });
  const network = new PeerNetwork(pool, 2, 16);
  const hostile = network.start(0);
  const bus = network.start(1);
  let good = 0;
  network.settle();
  bus.subscribe('good.*', () => void good++);
  const kinds = ['flood', 'flood.*', '*.flood', 'flood.>'];
  let most = 0;
  for (let round = 0; round < 10; round++) {
    const own = Array.from({ length: 10_000 }, (_, i) =>
      hostile.subscribe(`${kinds[i & 3]}${(i & 3) === 3 ? '' : `.${i}`}`, () => {}),
    );
    // Interests come within a window: the pool is not theirs.
    network.flush();
    most = Math.max(most, hostile.stats().regionsOut, pool.who().held);
    expect(bus.tryPublish('good.1', 'x')).toBe(true);
    for (const each of own) each.close();
    network.settle();
  }
  expect(good).toBe(10);
  expect(most, 'of 64 buffers').toBeLessThanOrEqual(24);
  expect(hostile.stats().subscriptions).toBe(0);
  const { unmatched } = bus.stats();
  expect(bus.tryPublish('flood.1', 'to none')).toBe(true);
  expect(bus.stats().unmatched).toBe(unmatched + 1);
  network.end();
  expectAllHome(pool);
});

test('huge headers, replies, subjects and payloads are refused; nothing is held', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 32 });
  const network = new PeerNetwork(pool, 2);
  const bus = network.start(0);
  let good = 0;
  network.start(1).subscribe('a', () => void good++);
  network.settle();
  const alone = new Bus(BufferPool.create({ bufferSize: 1024, bufferCount: 4 }));
  const huge = 'x'.repeat(1 << 20);
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`h${i}`, 'v']));
  for (const each of [bus, alone]) {
    const before = { held: each.pool.who().held, ...each.stats() };
    for (const headers of [{ a: huge }, { [huge]: 'a' }, many]) {
      expect(codeOf(() => each.tryPublish('a', 'x', { headers }))).toBe(LARGE);
      await expect(each.publish('a', 'x', { headers })).rejects.toMatchObject({ code: LARGE });
      await expect(each.request('a', 'x', { headers })).rejects.toMatchObject({ code: LARGE });
    }
    expect(codeOf(() => each.tryPublish('a', huge))).toBe(LARGE);
    expect(codeOf(() => each.tryPublish(huge, 'x'))).toBe('ERR_BUSBAR_BAD_SUBJECT');
    expect(codeOf(() => each.tryPublish('a', 'x', { reply: huge }))).toBe('ERR_BUSBAR_BAD_SUBJECT');
    expect({ held: each.pool.who().held, ...each.stats() }).toEqual(before);
  }
  // Headers that fit are many bytes for one message: the window counts them.
  const headers = { a: 'x'.repeat(900) };
  let sent = 0;
  while (bus.tryPublish('a', '', { headers })) sent++;
  expect(sent).toBeGreaterThan(0);
  expect(sent, 'an eighth of the pool has 4 KiB').toBeLessThanOrEqual(8);
  network.settle();
  expect(good).toBe(sent);
  expect(bus.tryPublish('a', 'small')).toBe(true);
  network.end();
  expectAllHome(pool);
  alone.close();
});
