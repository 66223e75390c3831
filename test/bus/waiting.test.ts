// SPDX-License-Identifier: MIT
/** Calls that wait on a bus with peers: each ends, and says at once what can never be. */

import { expect, test } from 'vitest';
import { BufferPool } from '../../src/pool/index.ts';
import { expectAllHome } from '../pool-expectations.ts';
import { settle } from '../turns.ts';
import { PeerNetwork } from './peer/network.ts';

const BAD = ['', '.', 'a..b', 'a.*', '>', 'a b', 'a\0', 'a\r\nPUB b 1', 'x'.repeat(257)];

test.each(BAD)('the subject %j is refused at once, before all peers are known', async (subject) => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64, maxThreads: 1 });
  const network = new PeerNetwork(pool, 2);
  const bus = network.start(0);
  expect(bus.tryPublish('good', 'x'), 'bus 1 has not begun').toBe(false);
  const wrong = { code: 'ERR_BUSBAR_BAD_SUBJECT' };
  expect(() => bus.tryPublish(subject, 'x')).toThrow(expect.objectContaining(wrong));
  expect(() => bus.tryPublish('good', 'x', { reply: subject })).toThrow(
    expect.objectContaining(wrong),
  );
  expect(() => bus.replies(subject, 'x')).toThrow(expect.objectContaining(wrong));
  await expect(bus.publish(subject, 'x')).rejects.toMatchObject(wrong);
  await expect(bus.request(subject, 'x')).rejects.toMatchObject(wrong);
  expect(bus.stats()).toMatchObject({ waiting: 0, requests: 0, published: 0 });
  network.end();
  expectAllHome(pool);
});

test('neither wrong payloads nor wrong headers wait until all peers are known', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64, maxThreads: 1 });
  const network = new PeerNetwork(pool, 2);
  const bus = network.start(0);
  for (const subject of [7, null, undefined, Symbol('s'), {}] as never[]) {
    expect(() => bus.tryPublish(subject, 'x')).toThrow(TypeError);
    await expect(bus.publish(subject, 'x')).rejects.toThrow(TypeError);
    await expect(bus.request(subject, 'x')).rejects.toThrow(TypeError);
  }
  for (const payload of [7, null, undefined, {}, new Uint16Array(1)] as never[]) {
    expect(() => bus.tryPublish('good', payload)).toThrow(TypeError);
    await expect(bus.publish('good', payload)).rejects.toThrow(TypeError);
    await expect(bus.request('good', payload)).rejects.toThrow(TypeError);
  }
  const large = { code: 'ERR_BUSBAR_MESSAGE_TOO_LARGE' };
  expect(() => bus.tryPublish('good', new Uint8Array(1025))).toThrow(
    expect.objectContaining(large),
  );
  await expect(bus.publish('good', 'x'.repeat(1025))).rejects.toMatchObject(large);
  expect(() => bus.tryPublish('good', '', { headers: { 'a:': 'x' } })).toThrow(TypeError);
  expect(bus.stats()).toMatchObject({ waiting: 0, requests: 0, published: 0 });
  network.end();
  expectAllHome(pool);
});

test('a call that waits for a handler to return goes on when it has', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64, maxThreads: 1 });
  const network = new PeerNetwork(pool, 2);
  const bus = network.start(0, { backlogMax: 2 });
  const waits: Promise<void>[] = [];
  const got: string[] = [];
  bus.subscribe('start', () => {
    for (let i = 0; i < 4; i++) waits.push(bus.publish('work', String(i)));
  });
  bus.subscribe('work', (message) => void got.push(message.text()));
  // The subject goes beyond this bus, too.
  network.start(1).subscribe('start', () => {});
  network.settle();
  expect(bus.tryPublish('start', '')).toBe(true);
  await settle();
  expect({ waiting: bus.stats().waiting, got }).toEqual({
    waiting: 0,
    got: ['0', '1', '2', '3'],
  });
  await Promise.all(waits);
  network.end();
  expectAllHome(pool);
});
