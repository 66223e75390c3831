// SPDX-License-Identifier: MIT
/**
 * End to end: subscribers that are slow for a while, or permanently, and their effect on other
 * clients.
 */

import { afterEach, describe, expect, test } from 'vitest';
import type { BrokerOptions } from '../../broker/broker-options.ts';
import { RawClient } from './raw-client.ts';
import { EXECUTORS, type StartedBroker, startBroker } from './started-broker.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Nobody is cut off for the time that passes: the machine may be busy. */
const PATIENT = { stallMs: 600_000, writeDeadlineMs: 600_000, authTimeoutMs: 600_000 };

let broker: StartedBroker | undefined;
const clients: RawClient[] = [];

async function start(executors: number, options: BrokerOptions): Promise<StartedBroker> {
  broker = await startBroker(executors, { ...PATIENT, ...options });
  return broker;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  const rest = { connections: 0, subscriptions: 0, held: 0 };
  await expect.poll(() => broker?.stats()).toMatchObject(rest);
  await broker?.drain();
  broker = undefined;
});

/** Connects until it is a client of that one of `executors`. */
async function clientAt(place: number, executors: number): Promise<RawClient> {
  for (;;) {
    const client = await RawClient.connect((broker as StartedBroker).port);
    if (Number(client.info.client_id) % executors === place) {
      clients.push(client);
      return client;
    }
    client.destroy();
    await client.closed;
  }
}

/** Counts what comes, and keeps nothing. */
function countBytes(client: RawClient): { bytes: number; until(bytes: number): Promise<void> } {
  const counter = {
    bytes: 0,
    until: (bytes: number): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (counter.bytes >= bytes) resolve();
        };
        client.socket.on('data', look);
        client.socket.on('close', () => reject(new Error(`closed after ${counter.bytes} bytes`)));
        look();
      }),
  };
  client.socket.removeAllListeners('data');
  client.socket.on('data', (chunk) => {
    counter.bytes += chunk.length;
  });
  return counter;
}

describe.each(EXECUTORS)('a broker on %i threads, with its defaults', (executors) => {
  test.each([1, 64])(
    'keeps 48 MiB of messages of %i KiB for a subscriber that pauses',
    async (kib) => {
      await start(executors, { maxPayloadBytes: 64 * KIB });
      const subscriber = await clientAt(0, executors);
      await subscriber.converse('SUB flood 1\r\n');
      const heard = countBytes(subscriber);
      subscriber.socket.pause();
      const publisher = await clientAt(executors - 1, executors);
      const payload = 'x'.repeat(kib * KIB);
      const head = `PUB flood ${payload.length}\r\n`;
      const count = (48 * MIB) / payload.length;
      const perBlock = Math.max(1, MIB / payload.length);
      // The publisher is read from to the end, though the subscriber takes nothing.
      const block = `${head}${payload}\r\n`.repeat(perBlock);
      for (let i = 0; i < count; i += perBlock) await publisher.converse(block);
      expect(await broker?.stats()).toMatchObject({ paused: 0, slowConsumers: 0 });
      const length = `MSG flood 1 ${payload.length}\r\n${payload}\r\n`.length;
      const all = heard.until(count * length);
      subscriber.socket.resume();
      await all;
      expect(heard.bytes).toBe(count * length);
    },
    120_000,
  );
});

test('what waits too long for a client cuts it off, also if nobody writes to it', async () => {
  await start(1, { writeDeadlineMs: 500, lingerMs: 10 });
  const subscriber = await clientAt(0, 1);
  await subscriber.converse('SUB flood 1\r\n');
  subscriber.socket.pause();
  const publisher = await clientAt(0, 1);
  const block = `PUB flood 60000\r\n${'x'.repeat(60_000)}\r\n`.repeat(16);
  // More than the system keeps for it.
  for (let i = 0; i < 24; i++) await publisher.converse(block);
  await expect.poll(() => broker?.stats()).toMatchObject({ slowConsumers: 1, connections: 1 });
});

test('between executors nobody waits behind a message for a slow subscriber', async () => {
  const executors = 2;
  // Nobody is cut off before the end, so what waits for that waits for ever.
  await start(executors, { maxPendingBytes: 256 * KIB });
  const slow = await clientAt(1, executors);
  await slow.converse('SUB flood 1\r\n');
  const heard = countBytes(slow);
  slow.socket.pause();
  const publisher = await clientAt(0, executors);
  const payload = 'x'.repeat(16 * KIB);
  const message = `PUB flood ${payload.length}\r\n${payload}\r\n`;
  const count = 4096;
  for (let i = 0; i < count; i += 64) publisher.say(message.repeat(64));
  // The publisher waits at its own executor.
  await expect.poll(() => broker?.stats()).toMatchObject({ paused: 1 });

  const asking = await clientAt(0, executors);
  const answering = await clientAt(1, executors);
  await answering.converse('SUB other 1\r\n');
  for (let i = 0; i < 100; i++) {
    await asking.converse(`PUB other 1\r\n${i % 10}\r\n`);
    expect(await answering.converse('')).toBe(`MSG other 1 1\r\n${i % 10}\r\n`);
  }
  expect(await broker?.stats()).toMatchObject({ paused: 1, slowConsumers: 0 });

  // When it reads again it gets everything, in order and whole.
  const length = `MSG flood 1 ${payload.length}\r\n${payload}\r\n`.length;
  const all = heard.until(count * length);
  slow.socket.resume();
  await all;
  expect(heard.bytes).toBe(count * length);
  expect(await broker?.stats()).toMatchObject({ paused: 0, slowConsumers: 0 });
}, 120_000);

test('of a group elsewhere a member with room gets it; publishers wait if none has', async () => {
  const executors = 2;
  await start(executors, { maxPendingBytes: 128 * KIB });
  const members = [await clientAt(1, executors), await clientAt(1, executors)];
  for (const member of members) await member.converse('SUB work crew 1\r\n');
  const counters = members.map(countBytes);
  members[0].socket.pause();
  const publisher = await clientAt(0, executors);
  const payload = 'x'.repeat(16 * KIB);
  const message = `PUB work ${payload.length}\r\n${payload}\r\n`;
  const length = `MSG work 1 ${payload.length}\r\n${payload}\r\n`.length;
  const count = 2048;
  // One reads: everything is taken.
  for (let i = 0; i < count; i += 64) await publisher.converse(message.repeat(64));
  members[1].socket.pause();
  for (let i = 0; i < count; i += 64) publisher.say(message.repeat(64));
  await expect.poll(() => broker?.stats()).toMatchObject({ paused: 1 });
  const both = new Promise<void>((resolve) => {
    const look = (): void => {
      if (counters[0].bytes + counters[1].bytes === 2 * count * length) resolve();
    };
    for (const member of members) member.socket.on('data', look);
  });
  for (const member of members) member.socket.resume();
  await both;
  expect(await broker?.stats()).toMatchObject({ paused: 0, slowConsumers: 0 });
}, 120_000);
