// SPDX-License-Identifier: MIT
/** A link that its program has paused delivers nothing, however it is read. */
import { expect, test } from 'vitest';
import { settle, until } from '../../test/turns.ts';
import { DelimiterCodec } from '../framer/index.ts';
import type { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { TcpLink, TcpServer, UdpLink } from './index.ts';
import { LoopbackNetwork } from './loopback/loopback-network.ts';

type Reader = TcpLink | UdpLink;
type Pair = readonly [Reader, Reader];
/** Reads until the end; calls `take` for each packet, which it releases. */
type Way = (reader: Reader, take: (packet: Packet) => void) => Promise<void>;

const codec = () => new DelimiterCodec('\n');
/** More than an inbox holds before its link stops reading. */
const COUNT = 150;

async function streams(pool: BufferPool, over: LoopbackNetwork | undefined): Promise<Pair> {
  const options = { port: 0, codec };
  const server = await (over?.listen(pool, options) ?? TcpServer.listen(pool, options));
  const to = { port: server.port, codec };
  const client = await (over?.connect(pool, to) ?? TcpLink.connect(pool, to));
  await until(() => server.links.size > 0);
  const [reader] = server.links;
  server.stopListening();
  return [client, reader as TcpLink];
}

async function datagrams(pool: BufferPool, over: LoopbackNetwork | undefined): Promise<Pair> {
  const reader = await (over?.open(pool, {}) ?? UdpLink.open(pool, {}));
  const to = { peer: { host: '127.0.0.1', port: reader.local.port } };
  return [await (over?.open(pool, to) ?? UdpLink.open(pool, to)), reader];
}

const CARRIERS = [
  ['TCP', (pool: BufferPool) => streams(pool, undefined)],
  ['a loopback stream', (pool: BufferPool) => streams(pool, new LoopbackNetwork())],
  ['UDP', (pool: BufferPool) => datagrams(pool, undefined)],
  ['loopback datagrams', (pool: BufferPool) => datagrams(pool, new LoopbackNetwork())],
] as const;

const WAYS: readonly (readonly [string, Way])[] = [
  ['handle', (reader, take) => reader.handle(take)],
  [
    'handle, two at once',
    (reader, take) => reader.handle(async (packet) => take(packet), { concurrency: 2 }),
  ],
  [
    'for await',
    async (reader, take) => {
      for await (const packet of reader) take(packet);
    },
  ],
  [
    'receive',
    async (reader, take) => {
      for (let p = await reader.receive(); p !== undefined; p = await reader.receive()) take(p);
    },
  ],
];

const CASES = CARRIERS.flatMap(([carrier, open]) =>
  WAYS.map(([way, read]) => [carrier, way, open, read] as const),
);

test.each(CASES)('%s, read by %s: nothing comes between pause and resume', async (...one) => {
  const [, , open, read] = one;
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64, debug: true });
  const [client, reader] = await open(pool);
  const taken: string[] = [];
  const pauseAfter = new Set([10, 70, 71, 120]);
  const reading = read(reader, (packet) => {
    taken.push(packet.toString());
    packet.release();
    if (pauseAfter.has(taken.length)) reader.pause();
  });
  const texts = Array.from({ length: COUNT }, (_, i) => `message ${i}`);
  for (const text of texts) await client.write(text);
  for (const count of pauseAfter) {
    await until(() => taken.length >= count);
    await settle();
    expect([taken.length, reader.paused]).toEqual([count, true]);
    reader.resume();
  }
  await until(() => taken.length === COUNT);
  await settle();
  expect([taken, reader.paused]).toEqual([texts, false]);
  await Promise.all([client.close(), reader.close(), reading]);
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});

test.each(CARRIERS)('%s: resume by the program waits until the inbox is empty', async (_, open) => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64, debug: true });
  const [client, reader] = await open(pool);
  for (let i = 0; i < COUNT; i++) await client.write(`${i}`);
  await until(() => reader.paused);
  reader.pause();
  await settle();
  expect(reader.tryReceive()).toBeUndefined();
  await expect(reader.receive({ timeoutMs: 1 })).rejects.toThrow('receive');
  const early = reader.receive();
  const { bytesRead } = reader.stats();
  reader.resume();
  await settle();
  // Some wait still, and no more was read.
  expect([reader.paused, reader.stats().bytesRead]).toEqual([true, bytesRead]);
  for (let i = 0; i < COUNT; i++) {
    const packet = await (i === 0 ? early : reader.receive());
    expect(packet?.toString()).toBe(`${i}`);
    packet?.release();
  }
  // What waits when it ends is not lost to the pool.
  reader.pause();
  const last = reader.receive();
  await Promise.all([client.close(), reader.close()]);
  expect(await last).toBeUndefined();
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});
