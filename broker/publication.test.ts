// SPDX-License-Identifier: MIT
/** Example broker: a publisher that is cut off in the midst of its own message. */

import { afterEach, expect, test } from 'vitest';
import { RawClient } from '../test/e2e/raw-client.ts';
import { Broker } from './broker.ts';
import type { Connection } from './connection.ts';

let broker: Broker;
const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await broker.drain();
});

async function join(greeting?: string): Promise<{ client: RawClient; connection: Connection }> {
  const client = await RawClient.connect(broker.port, greeting);
  clients.push(client);
  await client.converse('');
  return { client, connection: [...broker.connections][clients.length - 1] };
}

/** A line that is copied, and one that is put together. */
const LINES = ['PUB a 5\r\nhello\r\n', 'pub   a   5\r\nhello\r\n'];

test.each(LINES)('what it says still reaches everybody as it was: %j', async (line) => {
  broker = await Broker.start({ port: 0 });
  const { pool } = broker;
  const publisher = await join();
  const subscribers = [await join(), await join(), await join()];
  for (const { client } of subscribers) await client.converse('SUB a 1\r\n');
  // In the midst of the delivery the publisher turns out to be a slow consumer.
  const { connection } = subscribers[1];
  const { offer } = connection;
  connection.offer = (...parts) => {
    broker.backpressure.cutOff(publisher.connection, true);
    // Whatever buffer is free now belongs to others.
    const others = Array.from({ length: 8 }, () => pool.tryAcquire());
    for (const bufferId of others) {
      const begin = pool.offsetOf(bufferId);
      pool.bytes.fill(0x79, begin, begin + pool.bufferSize);
    }
    const answer = offer.apply(connection, parts);
    for (const bufferId of others) pool.release(bufferId);
    return answer;
  };
  publisher.client.say(line);
  await publisher.client.closed;
  for (const { client } of subscribers) {
    expect(await client.converse('')).toBe('MSG a 1 5\r\nhello\r\n');
  }
  for (const { client } of subscribers) client.destroy();
  await expect.poll(() => broker.connections.size).toBe(0);
  await expect.poll(() => pool.stats().held).toBe(0);
});
