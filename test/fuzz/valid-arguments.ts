// SPDX-License-Identifier: MIT
/** Fuzz tool: for each parameter of a public function an argument as it should be. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import * as root from 'busbar';
import { UdpAddress } from 'busbar/link';
import * as metrics from 'busbar/metrics';
import type { Packet } from 'busbar/packet';
import { EXECUTOR_MODULE, type Live } from './hostile-live.ts';
import type { World } from './hostile-world.ts';

/** All that is exported. */
export const busbar: typeof root & typeof metrics = { ...root, ...metrics };

/** What is made once for all executions. */
export const shared: { live: Live | undefined } = { live: undefined };

export type Made = (world: World, subject: object) => unknown;

const ignore = (): void => {};

/** By `Class.method parameter`, or by the parameter's name. */
export const VALID: Readonly<Record<string, Made>> = {
  pool: ({ pool }) => pool,
  flusher: (world) => world.flusher(),
  packet: packetFor,
  packets: (world) => [world.packet(), world.packet()],
  message: (world, subject) => (subject instanceof busbar.WordSender ? 7 : world.packet()),
  word: () => 7,
  id: ({ held }) => held,
  bufferId: ({ held }) => held,
  offset: ({ pool, held }, subject) => openOffset(subject) ?? pool.offsetOf(held),
  length: ({ random }) => random.below(9),
  tag: ({ random }) => random.below(9) - 4,
  count: ({ random }) => random.below(4),
  countMax: () => 2,
  max: () => 2,
  at: () => 0,
  index: () => 0,
  begin: () => 0,
  end: () => 3,
  targetOffset: () => 0,
  threadSlot: ({ random }) => random.below(4),
  writerId: () => 0,
  timeoutMs: () => 0,
  byte: () => 10,
  frameBytes: () => 8,
  value: () => 0,
  ttl: () => 1,
  littleEndian: () => true,
  wanted: () => true,
  callback: () => ignore,
  sink:
    ({ pool }) =>
    (_writer: number, _offset: number, _length: number, id: never) =>
      pool.release(id),
  measure: () => () => 1,
  choose: () => () => 0,
  source: () => new Uint8Array(8),
  target: () => new Int32Array(16),
  words: () => new Int32Array(16),
  other: () => new Uint8Array(4),
  cuts: () => [0, 0],
  delimiter: () => '\n',
  'isBusbarError error': () => new busbar.BusbarError('ERR_BUSBAR_TIMEOUT'),
  'isBusbarError code': () => 'ERR_BUSBAR_TIMEOUT',
  codec: () => new busbar.LengthPrefixCodec('u16'),
  prefix: () => 'u16',
  key: ({ random }) => random.next(),
  bounds: () => [10, 20],
  name: () => 'fuzz',
  host: () => '127.0.0.1',
  port: () => 4222,
  to: () => UdpAddress.of('127.0.0.1', 9),
  group: () => '239.1.2.3',
  networkInterface: () => '127.0.0.1',
  socket: () => undefined,
  subject: () => 'a.b',
  values: () => new Int32Array(2),
  into: () => new Int32Array(2),
  'SeqLock.create options': () => ({ words: 2 }),
  'SignalTree.create options': () => ({ signals: 40 }),
  'SeqLock.attach handle': ({ pool }) => busbar.SeqLock.create(pool, { words: 2 }).handle,
  'SignalTree.attach handle': ({ pool }) => busbar.SignalTree.create(pool, { signals: 40 }).handle,
  make: () => ignore,
  from: () => 1,
  decide: () => ignore,
  action: () => ignore,
  use: () => ({ links: 1, laggards: 0, messageBytes: 8 }),
  writable: () => new PassThrough(),
  payload: ({ random }) => (random.chance(0.5) ? 'text' : new Uint8Array(3)),
  handler: () => ignore,
  'Bus.subscribe second': () => undefined,
  'Bus.subscribe third': () => ignore,
  options: () => undefined,
  'BufferPool.create options': () => ({ bufferSize: 64, bufferCount: 4, maxThreads: 2 }),
  'BufferPool.attach handle': ({ pool }) => pool.handle,
  'BufferPool.moveFrom source': sentWords,
  'Packet.moveFrom words': sentWords,
  'Packet.moveIn sent': (world) => world.packet().moveOut(),
  'Packet.copyTo target': () => new Uint8Array(64),
  'PacketChannel.create options': () => ({ kind: 'mpmc', capacity: 4 }),
  'PacketChannel.attach handle': (world) => world.packetChannel().handle,
  'WordChannel.create options': () => ({ kind: 'mpmc', capacity: 4 }),
  'WordChannel.attach handle': (world) => world.wordChannel().handle,
  'WordSender.trySendBatch source': () => new Int32Array(4),
  'WriteFlusher.attach handle': (world) => world.flusher().handle,
  'WriteFlusher.drain countMax': () => Infinity,
  'SharedWriter.attach handle': (world) => world.sharedWriter().handle,
  'SharedWriter.takeOver ticket': (_world, subject) => {
    const writer = subject as root.SharedWriter;
    return writer.handOver(writer.tryReserve(4));
  },
  'Mutex.create options': () => ({ order: 'fair' }),
  'Semaphore.create options': () => ({ permits: 1, max: 2 }),
  'Semaphore.attach handle': (world) => world.semaphore().handle,
  'Event.create options': () => ({ reset: 'auto' }),
  'Event.attach handle': (world) => world.event().handle,
  'RwLock.create options': () => ({ onOwnerDeath: 'poison' }),
  'Countdown.create count': () => 3,
  'Countdown.attach handle': ({ pool }) => busbar.Countdown.create(pool, 3).handle,
  'WaitGroup.attach handle': ({ pool }) => busbar.WaitGroup.create(pool).handle,
  'Barrier.attach handle': ({ pool }) => busbar.Barrier.create(pool).handle,
  'Gate.create options': () => ({ batch: 2 }),
  'Gate.attach handle': ({ pool }) => busbar.Gate.create(pool).handle,
  'Once.create options': () => ({ onError: 'poison' }),
  'Once.attach handle': ({ pool }) => busbar.Once.create(pool).handle,
  'RwLock.attach handle': (world) => world.rwLock().handle,
  'ReadLock.attach handle': (world) => world.rwLock().readOnly.handle,
  'Mutex.attach handle': (world) => world.mutex().handle,
  'UdpAddress.from words': () => UdpAddress.of('127.0.0.1', 9).words,
  'UdpAddress.equals other': () => UdpAddress.of('127.0.0.1', 9),
  'ExecutorGroup.start options': () => ({ ...EXECUTORS, pool: shared.live?.pool, count: 1 }),
  'Executor.start options': () => ({ ...EXECUTORS, pool: shared.live?.pool }),
  'Bus.constructor options': () => ({
    ...{ name: 'b', subjectBytesMax: 64, tokensMax: 8, backlogMax: 4 },
    ...{ onError: ignore, onCrash: ignore },
  }),
  'Monitor.constructor options': () => ({ program: 'fuzz', stuckMs: 1000 }),
  'Monitor.watch subject': ({ pool }) => pool,
  monitor: () => new busbar.Monitor(),
  lock: ({ pool }) => busbar.SeqLock.create(pool, { words: 64 }),
  own: () => ({
    kind: 'own',
    metrics: [{ field: 'a', type: 'gauge', unit: '1', name: 'own.a', help: '' }],
    read: () => ({ a: 1 }),
  }),
  condition: () => () => '',
  client: () => ({ Counter: Instrument, Gauge: Instrument }),
  registry: () => undefined,
  meter: () => METER,
  'Exporter.listen options': ({ random }) => {
    return random.chance(0.5) ? { path: socketPath() } : { port: 0, token: 'fuzz' };
  },
  'TcpLink.writeFrame length': () => 3,
  'TcpLink.writeFrame source': () => [new Uint8Array(3)],
  'TcpLink.connect options': () => ({ ...LINK, port: 9, timeoutMs: 50 }),
  'TcpLink.adopt options': () => LINK,
  'TcpServer.listen options': () => ({ ...LINK, port: 0 }),
  'UdpLink.open options': ({ random }) => ({
    handler: () => ({ onMessage() {} }),
    ...(random.chance(0.5) ? { path: socketPath() } : {}),
    ...(random.chance(0.3) ? { peer: { path: socketPath() } } : {}),
  }),
  'LoopbackNetwork.open options': () => ({ handler: () => ({ onMessage() {} }) }),
  'LoopbackNetwork.listen options': () => LINK,
  'LoopbackNetwork.connect options': () => ({ ...LINK, port: 9 }),
  faults: () => ({ loss: 0.5 }),
  a: () => 'one',
  b: () => ['two', 'three'],
  durationMs: () => 5,
  'listenReusePort options': () => ({ host: '127.0.0.1', port: 0 }),
  'writeSendPacket packet': () => ({ buffer: 0, offset: 0, length: 0, contribution: 0 }),
};

/** Of the pool of what it is sent to. */
function packetFor(world: World, subject: object): Packet {
  const isLive = subject instanceof busbar.ExecutorGroup || subject instanceof busbar.Executor;
  if (!isLive || shared.live === undefined) return world.packet();
  const packet = shared.live.packet();
  world.atEnd(() => packet.release());
  return packet;
}

/** Of a Unix socket, which only this process opens. */
const socketPath = (): string => join(tmpdir(), `busbar-fuzz-${process.pid}.sock`);

/** What a meter, or the module of a client, has at least. */
class Instrument {
  reset(): void {}
  inc(): void {}
  set(): void {}
}

const EXECUTORS = {
  module: EXECUTOR_MODULE,
  restart: { maxRestarts: 1 },
  onDeath: ignore,
  onCrash: ignore,
  onRestart: ignore,
};

const METER = {
  createObservableCounter: () => ({}),
  createObservableUpDownCounter: () => ({}),
  createObservableGauge: () => ({}),
  addBatchObservableCallback: ignore,
  removeBatchObservableCallback: ignore,
};

const LINK = {
  codec: () => new busbar.LengthPrefixCodec('u8'),
  handler: () => ({ onFrame() {} }),
};

function openOffset(subject: object): number | undefined {
  if (!(subject instanceof busbar.LocalWriter || subject instanceof busbar.SharedWriter)) return;
  const offset = subject.closed ? -1 : subject.tryReserve(16);
  return offset < 0 ? undefined : offset;
}

function sentWords(world: World): Int32Array {
  const words = new Int32Array(8);
  world.packet().moveInto(words, 0);
  return words;
}
