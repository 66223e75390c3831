// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { PacketChannel } from './index.ts';

function setUp(capacity: number = 64) {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 128 });
  const channel = PacketChannel.create(pool, { kind: 'spsc', capacity });
  return { pool, sender: channel.sender(), receiver: channel.receiver() };
}

async function send(pool: BufferPool, sender: ReturnType<PacketChannel['sender']>, count: number) {
  for (let i = 0; i < count; i++) {
    let packet = Packet.tryFrom(pool, `${i}`);
    for (; packet === undefined; packet = Packet.tryFrom(pool, `${i}`)) {
      await new Promise(setImmediate);
    }
    await sender.send(packet);
  }
  sender.close();
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);

test.each([1, 4, 16, 64])('a loop gets all in order, through %i slots', async (capacity) => {
  const { pool, sender, receiver } = setUp(capacity);
  const sending = send(pool, sender, 5000);
  const got: string[] = [];
  for await (const packet of receiver) {
    got.push(packet.toString());
    packet.release();
  }
  await sending;
  expect(got).toEqual(numbers(5000));
  receiver.close();
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});

test('a loop over messages that are there lets the event loop have its turn', async () => {
  const { pool, sender, receiver } = setUp();
  let turns = 0;
  const turning = setInterval(() => turns++, 0);
  let left = 100_000;
  const refill = (): void => {
    while (left > 0) {
      const packet = Packet.tryFrom(pool, 'x');
      if (packet === undefined) return;
      if (!sender.trySend(packet)) {
        packet.release();
        return;
      }
      left--;
    }
    sender.close();
  };
  refill();
  for await (const packet of receiver) {
    packet.release();
    if (left > 0) refill();
  }
  clearInterval(turning);
  expect(turns).toBeGreaterThan(0);
  receiver.close();
});

test('handle: promises are awaited, so many at once', async () => {
  const { pool, sender, receiver } = setUp();
  const sending = send(pool, sender, 200);
  let running = 0;
  let most = 0;
  const got: string[] = [];
  await receiver.handle(
    async (packet) => {
      got.push(packet.toString());
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      packet.release();
    },
    { concurrency: 3 },
  );
  await sending;
  expect([most, running, got]).toEqual([3, 0, numbers(200)]);
  receiver.close();
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});

test('handle: an error rejects, its packet is released, the rest stays; or onError', async () => {
  const { pool, sender, receiver } = setUp();
  await send(pool, sender, 10);
  const handler = async (packet: Packet): Promise<void> => {
    await null;
    if (packet.toString() === '3') throw new Error('three');
    packet.release();
  };
  await expect(receiver.handle(handler)).rejects.toThrow('three');
  const failed: string[] = [];
  await receiver.handle(
    (packet) => {
      if (packet.toString() === '5') throw new Error('five');
      packet.release();
    },
    { onError: (error, packet) => failed.push(`${(error as Error).message} ${packet}`) },
  );
  expect(failed).toEqual(['five 5']);
  receiver.close();
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});

test('a sender that waits is woken for many slots at once, and never left asleep', async () => {
  const { pool, sender, receiver } = setUp(16);
  const sending = send(pool, sender, 64);
  let count = 0;
  // One at a time, with turns between: the sender waits while more than half is full.
  while (count < 64) {
    const packet = receiver.tryReceive();
    if (packet === undefined) await new Promise(setImmediate);
    else {
      count++;
      packet.release();
      await new Promise(setImmediate);
    }
  }
  await sending;
  receiver.close();
});

test('options that are none are refused, whatever there is to receive', async () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
  const channel = PacketChannel.create(pool, { kind: 'spsc', capacity: 4 });
  const receiver = channel.receiver();
  receiver.close();
  for (const wrong of [null, 7, []]) {
    await expect(receiver.handle(() => {}, wrong as never)).rejects.toThrow(/^options/);
  }
});
