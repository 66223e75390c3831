// SPDX-License-Identifier: MIT
/** End to end: a million messages through the broker, in order and unaltered. */

import { connect } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { EXECUTORS, startBroker } from './started-broker.ts';

const MESSAGE_COUNT = 1_000_000;
/**
 * Messages sent before the publisher asks whether the broker has got them: keeps the client's own
 * queue short.
 */
const BATCH = 20_000;

/** The content of message number `i`: its number, and a length and letters that follow from it. */
function fill(payload: Uint8Array, i: number): Uint8Array {
  const length = 4 + (i % 61);
  payload[0] = i;
  payload[1] = i >>> 8;
  payload[2] = i >>> 16;
  payload[3] = i >>> 24;
  for (let at = 4; at < length; at++) payload[at] = (i + at * 7) & 0xff;
  return payload.subarray(0, length);
}

const NAME = '10⁶ messages of the official client arrive in order, contents verified, %i threads';

test.each(EXECUTORS)(NAME, async (executors) => {
  const broker = await startBroker(executors);
  const servers = `127.0.0.1:${broker.port}`;
  const publisher = await connect({ servers, reconnect: false });
  const subscriber = await connect({ servers, reconnect: false });
  const expected = new Uint8Array(64);
  let received = 0;
  let wrong = 0;
  const done = new Promise<void>((resolve) => {
    subscriber.subscribe('count', {
      callback: (_error, { data }) => {
        if (Buffer.compare(data, fill(expected, received)) !== 0) wrong++;
        received++;
        if (received === MESSAGE_COUNT) resolve();
      },
    });
  });
  await subscriber.flush();
  // The client keeps a reference until its next flush, so each message of a batch needs memory of
  // its own.
  const memory = new Uint8Array(BATCH * 64);
  for (let sent = 0; sent < MESSAGE_COUNT; sent += BATCH) {
    for (let i = 0; i < BATCH; i++) {
      publisher.publish('count', fill(memory.subarray(i * 64, i * 64 + 64), sent + i));
    }
    await publisher.flush();
  }
  await done;
  expect({ received, wrong }).toEqual({ received: MESSAGE_COUNT, wrong: 0 });
  expect(await broker.stats()).toMatchObject({ messagesIn: MESSAGE_COUNT });
  await Promise.all([publisher.close(), subscriber.close()]);
  await expect.poll(() => broker.stats()).toMatchObject({ held: 0 });
  await broker.drain();
});
