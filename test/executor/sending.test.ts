// SPDX-License-Identifier: MIT
import { customPartitioner, Executor, rangePartitioner } from 'busbar/executor';
import { expect, test } from 'vitest';
import { until } from '../turns.ts';
import {
  company,
  createPool,
  ExecutorGroup,
  expectAllBack,
  hear,
  moduleUrl,
  openGate,
  packetOf,
  tell,
  untilAtGate,
} from './company.ts';
import * as deeds from './deeds.ts';

// In shared-nothing one full worker stalls everybody behind it.
test('a broadcast reaches everybody but those whose lane is full, and says so', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start({ ...options, count: 3, laneCapacity: 2 });
  tell(group, pool, 1, 'block');
  await untilAtGate(words, 1);
  // What is at work keeps its place in the lane.
  tell(group, pool, 1, 'drop');
  const packet = packetOf(pool, 'drop');
  expect(group.tryBroadcast(packet)).toEqual({ sent: [0, 2], full: [1], closed: [] });
  await until(() => words[deeds.SEEN] === 3);
  // Still ours.
  expect(packet.toString()).toBe('drop');
  packet.release();
  openGate(words);
  expect(await group.stop()).toMatchObject({ handled: 4, dropped: 0 });
  expectAllBack(pool);
});

test('packets of one key stay in order, sent with and without waiting', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start({ ...options, laneCapacity: 4 });
  const waits: Promise<void>[] = [];
  for (let i = 1; i <= 40; i++) {
    for (let key = 0; key < 5; key++) {
      const packet = packetOf(pool, `count ${key} ${i}`);
      // Overtakes nobody: if it cannot be sent now it waits behind the others.
      if (!group.trySend(key, packet)) waits.push(group.send(key, packet));
    }
  }
  expect(waits.length).toBeGreaterThan(0);
  await Promise.all(waits);
  expect(await group.stop()).toMatchObject({ handled: 200, dropped: 0 });
  expect(words[deeds.ASTRAY]).toBe(0);
  expect([...words.subarray(deeds.LAST_OF_KEY, deeds.LAST_OF_KEY + 5)]).toEqual(
    new Array(5).fill(40),
  );
  expectAllBack(pool);
});

test('a wait for room ends by a timeout or a signal, and the packet is the caller’s', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start({ ...options, laneCapacity: 1 });
  tell(group, pool, 0, 'block');
  await untilAtGate(words, 1);
  const packet = packetOf(pool, 'drop');
  const timeout = group.sendTo(0, packet, { timeoutMs: 5 });
  await expect(timeout).rejects.toMatchObject({ code: 'ERR_BUSBAR_TIMEOUT' });
  const aborter = new AbortController();
  const wait = group.sendTo(0, packet, { signal: aborter.signal });
  aborter.abort('enough');
  await expect(wait).rejects.toBe('enough');
  packet.release();
  openGate(words);
  await group.stop();
  expectAllBack(pool);
});

// In shared-nothing an index out of range panics the pool.
test('a partitioner whose answer is no executor is an error, and changes nothing', async () => {
  const pool = createPool();
  const { options } = company(pool);
  for (const answer of [2, -1, 0.5, Number.NaN, undefined]) {
    const own = { partition: () => answer as number };
    for (const partitioner of [own, customPartitioner(() => answer as number)]) {
      const group = await ExecutorGroup.start({ ...options, partitioner });
      const packet = packetOf(pool, 'drop');
      expect(() => group.trySend('key', packet)).toThrow(RangeError);
      await expect(group.send('key', packet)).rejects.toThrow(RangeError);
      expect(group.trySendTo(1, packet)).toBe(true);
      expect(await group.stop()).toMatchObject({ handled: 1, dropped: 0 });
      if (answer !== 2) break;
    }
  }
  expectAllBack(pool);
});

// In shared-nothing a range partitioner behaves like a hash when it is in a pool.
test('ranges of keys stay together in a group', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const partitioner = rangePartitioner([10]);
  const group = await ExecutorGroup.start({ ...options, partitioner });
  for (let key = 0; key < 15; key++) {
    expect(group.trySend(key, packetOf(pool, 'drop'))).toBe(true);
  }
  await group.stop();
  expect(group.stats().map(({ handled }) => handled)).toEqual([10, 5]);
  expectAllBack(pool);
});

test('executors that are not there, and packets of another pool, are refused', async () => {
  const pool = createPool();
  const other = createPool();
  const { options } = company(pool);
  const group = await ExecutorGroup.start(options);
  const stranger = packetOf(other, 'drop');
  expect(() => group.trySendTo(0, stranger)).toThrow(TypeError);
  expect(() => group.tryBroadcast(stranger)).toThrow(TypeError);
  const packet = packetOf(pool, 'drop');
  expect(() => group.trySendTo(2, packet)).toThrow(
    new RangeError('index must be an integer from 0 to 1, got 2'),
  );
  await expect(group.ping(-1)).rejects.toThrow(RangeError);
  packet.release();
  stranger.release();
  await group.stop();
  expectAllBack(pool);
});

test('a packet reaches every peer, its sender too, and the mailbox says who sent it', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const group = await ExecutorGroup.start({ ...options, count: 3 });
  const heard = hear(group);
  for (let to = 0; to < 3; to++) {
    for (let via = 0; via < 3; via++) tell(group, pool, via, `pass ${to} echo ${via}${to}`);
  }
  await until(() => heard.length === 9);
  expect(heard.every(({ from, text }) => text.endsWith(String(from)))).toBe(true);
  await group.stop();
  expectAllBack(pool);
});

test('an executor of its own', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const { module, data } = options;
  const executor = await Executor.start({ pool, module: module ?? moduleUrl('deeds'), data });
  expect(executor.trySend(packetOf(pool, 'echo'))).toBe(true);
  await executor.send(packetOf(pool, 'echo'));
  const received = [await executor.mailbox.receive(), await executor.mailbox.receive()];
  for (const packet of received) packet?.release();
  expect(await executor.ping()).toBeGreaterThan(0);
  await executor.pause();
  expect(executor.stats().state).toBe('paused');
  await executor.resume();
  expect(await executor.stop()).toMatchObject({ handled: 2, dropped: 0 });
  await executor.closed;
  expectAllBack(pool);
});
