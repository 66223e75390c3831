// SPDX-License-Identifier: MIT
/** Example broker: clients that are not read from, because they have too much to do. */

import { afterEach, expect, test } from 'vitest';
import { RawClient } from '../test/e2e/raw-client.ts';
import { Broker } from './broker.ts';
import type { Connection } from './connection.ts';

let broker: Broker;
const HOUR_MS = 3_600_000;

afterEach(() => broker.drain());

/** A client with so much to do that it is not read from any more, and has more on its way. */
async function lagging(): Promise<{ client: RawClient; connection: Connection }> {
  // Nothing else asks for a sign of life, or cuts off.
  const never = { pingIntervalMs: 24 * HOUR_MS, writeDeadlineMs: HOUR_MS, stallMs: HOUR_MS };
  broker = await Broker.start({ port: 0, ...never });
  const client = await RawClient.connect(broker.port);
  await client.converse('');
  const [connection] = broker.connections;
  connection.part();
  client.say('SUB a 1\r\n'.repeat(1000));
  return { client, connection };
}

test('one that is gone is noticed, though it has left much behind', async () => {
  const { client, connection } = await lagging();
  client.destroy();
  let nowMs = performance.now();
  const look = (): number => {
    nowMs += 1000;
    connection.check(nowMs);
    return broker.connections.size;
  };
  await expect.poll(look, { timeout: 60_000, interval: 5 }).toBe(0);
  expect(broker.router.index.count).toBe(0);
});

test('one that is there is asked, and stays, whether or not it answers', async () => {
  const { client, connection } = await lagging();
  const fromMs = performance.now();
  for (let s = 0; s < 10; s++) connection.check(fromMs + 1000 * s);
  expect(await client.takeBytes('PING\r\n'.length)).toBe('PING\r\n');
  await client.takeThrough('PING\r\n');
  expect(connection.isClosing).toBe(false);
  // Once it is read from again it is asked no more.
  connection.link.resume();
  await expect.poll(() => broker.router.index.count).toBe(1);
  await client.converse('');
  const before = broker.counters.pings;
  for (let s = 10; s < 20; s++) connection.check(fromMs + 1000 * s);
  expect(await client.converse('')).not.toContain('PING');
  expect(broker.counters.pings).toBe(before);
  client.destroy();
});
