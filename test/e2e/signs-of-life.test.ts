// SPDX-License-Identifier: MIT
/**
 * End to end: which clients count as alive: one that only receives does, one that does not reply to
 * PINGs does not.
 */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { Broker } from '../../broker/broker.ts';
import type { Connection } from '../../broker/connection.ts';
import { RawClient } from './raw-client.ts';

/** A day: nothing is asked but by hand, with times of our own. */
const INTERVAL_MS = 86_400_000;

let broker: Broker;
let silent: RawClient;
let other: RawClient;
let connection: Connection;
let nowMs: number;

beforeEach(async () => {
  broker = await Broker.start({ port: 0, pingIntervalMs: INTERVAL_MS, maxPingsOut: 2 });
  silent = await RawClient.connect(broker.port);
  await silent.converse('SUB news 1\r\n');
  [connection] = broker.connections;
  other = await RawClient.connect(broker.port);
  nowMs = Math.ceil(performance.now());
});

afterEach(async () => {
  silent.destroy();
  other.destroy();
  await broker.drain();
});

/** What the broker writes in it is sent before the next one. */
async function passInterval(): Promise<void> {
  nowMs += INTERVAL_MS;
  connection.check(nowMs);
  while (connection.link.bufferedBytes > 0) await new Promise(setImmediate);
}

test('a subscriber that only receives, and answers nothing, stays', async () => {
  // The first time it has just subscribed.
  await passInterval();
  for (let i = 0; i < 10; i++) {
    await other.converse('PUB news 1\r\nx\r\n');
    expect(await silent.takeThrough('x\r\n')).toBe('MSG news 1 1\r\nx\r\n');
    await passInterval();
  }
  expect(broker.stats()).toMatchObject({ pings: 0, connections: 2 });
  expect(connection.isClosing).toBe(false);
});

test('one that nothing comes from, nor goes to, is asked, and then cut off', async () => {
  await passInterval();
  await passInterval();
  await passInterval();
  expect(connection.isClosing).toBe(false);
  await passInterval();
  expect(await silent.untilClosed()).toBe("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
});
