// SPDX-License-Identifier: MIT
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import * as busbar from '../src/index.ts';

/** What other connections' buffers hold; it must not come out of anything. */
const SECRET = 'the bytes of somebody else';
const TEXT_LENGTH_MAX = 2048;

/** Exported classes that hold no pool. */
const WITHOUT_POOL = [
  'Backpressure',
  'BusbarError',
  'ByteFinder',
  'ClientSubscriptions',
  'CustomCodec',
  'DelimiterCodec',
  'FairShare',
  'FanOut',
  'FixedCodec',
  'LengthPrefixCodec',
  'Publisher',
  'RecentSubject',
  'ServerPeers',
  'SharedPort',
  'UdpAddress',
  'VarintCodec',
];

/** Abstract, or made by links (test/link/) or a group of executors only: see the last test. */
const MADE_ELSEWHERE = [
  'Datagram',
  'Executor',
  'ExecutorGroup',
  'IncomingFrame',
  'Receiver',
  'Sender',
];

test('JSON and inspect show every object in short, without bytes of the pool', async () => {
  const pool = makePool();
  const { PacketChannel, WordChannel, WriteFlusher, SharedWriter, LocalWriter, Framer } = busbar;
  const packet = take(busbar.Packet.tryFrom(pool, encode('mine!')));
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(flusher);
  const shared = SharedWriter.create(flusher);
  const reservation = await writer.reserve(5);
  const packets = PacketChannel.create(pool, { kind: 'mpmc', capacity: 2 });
  const words = WordChannel.create(pool, { kind: 'spsc', capacity: 2 });
  const mutex = busbar.Mutex.create(pool);
  const network = new busbar.LoopbackNetwork({ seed: 1 });
  const codec = (): busbar.LengthPrefixCodec => new busbar.LengthPrefixCodec('u16');
  const handler = { onFrame: () => {} };
  const server = await network.listen(pool, {
    host: '10.0.0.1',
    port: 1,
    codec,
    handler: () => handler,
  });
  const link = await network.connect(pool, {
    host: '10.0.0.1',
    port: 1,
    codec,
    handler: () => handler,
  });
  const datagrams = await network.open(pool, { handler: () => ({ onMessage: () => {} }) });
  const signals = busbar.SignalTree.create(pool, { signals: 1 });
  const bus = new busbar.Bus(pool);
  const kept: busbar.BusMessage[] = [];
  bus.subscribe('a', (message) => {
    kept.push(message.keep());
  });
  bus.tryPublish('a', 'mine!');
  const objects = [
    ...[pool, packet, flusher, writer, shared, reservation, new Framer(pool, codec())],
    ...[packets, packets.sender(), packets.receiver(), words, words.sender(), words.receiver()],
    ...[mutex, mutex.guardSync(), busbar.Semaphore.create(pool, { permits: 1 })],
    busbar.Event.create(pool),
    ...[busbar.Countdown.create(pool, 1), busbar.WaitGroup.create(pool)],
    ...[busbar.Barrier.create(pool), busbar.Once.create(pool)],
    ...[busbar.Gate.create(pool), busbar.SeqLock.create(pool, { words: 1 })],
    ...[signals, signals.signal(0), new busbar.PacketWriter(pool)],
    ...[bus, bus.subscribe('a'), ...kept],
    ...[busbar.RwLock.create(pool), busbar.RwLock.create(pool).readOnly],
    ...[network, server, link, datagrams],
  ];
  for (const each of objects) expectShort(each);
  const seen = objects.map((each) => each.constructor.name);
  const classes = Object.entries(busbar)
    .filter(([, value]) => typeof value === 'function' && /^class/.test(String(value)))
    .map(([name]) => name);
  expect([...seen, ...WITHOUT_POOL, ...MADE_ELSEWHERE].sort()).toEqual(classes.sort());

  packet.release();
  expect(JSON.stringify(packet)).toBe('{"type":"Packet"}');
  link.destroy();
  datagrams.destroy();
  server.destroy();
});

test('a group of executors and its mailbox are shown likewise', async () => {
  const pool = makePool();
  const module =
    'data:text/javascript,export function run({ mailbox }) { mailbox.handle((p) => p.release()); }';
  const group = await busbar.ExecutorGroup.start({ pool, module, count: 1 });
  expectShort(group);
  const executor = await busbar.Executor.start({ pool, module });
  expectShort(executor);
  await executor.stop();
  expectShort(group.mailbox);
  await group.stop();
  expectShort(group);
});

/** A pool whose free buffers hold what somebody else has sent. */
function makePool(): busbar.BufferPool {
  const pool = busbar.BufferPool.create({ bufferSize: 4096, bufferCount: 256, maxThreads: 4 });
  const held: busbar.BufferId[] = [];
  for (let id = pool.tryAcquire(); id !== -1; id = pool.tryAcquire()) held.push(id);
  for (const id of held) pool.bytes.set(encode(SECRET), pool.offsetOf(id));
  for (const id of held) pool.release(id);
  return pool;
}

function expectShort(object: object): void {
  const name = object.constructor.name;
  const numbers = [...encode(SECRET)].slice(0, 8);
  for (const text of [JSON.stringify(object), JSON.stringify({ object }), inspect(object)]) {
    expect(text.length, name).toBeLessThan(TEXT_LENGTH_MAX);
    expect(text, name).not.toContain(SECRET);
    expect(text.replaceAll(' ', ''), name).not.toContain(numbers.join(','));
    expect(text, name).not.toContain('Uint8Array');
  }
  expect(JSON.parse(JSON.stringify(object)).type).toBeTypeOf('string');
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function take<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('no buffer is free');
  return value;
}
