// SPDX-License-Identifier: MIT
import { metrics as otel } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import * as promClient from 'prom-client';
import { expect, test } from 'vitest';
import { Bus } from '../bus/index.ts';
import { PacketChannel } from '../channel/index.ts';
import { Executor, ExecutorGroup } from '../executor/index.ts';
import { LengthPrefixCodec } from '../framer/index.ts';
import { TcpLink, TcpServer, UdpLink } from '../link/index.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { LocalWriter, WriteFlusher } from '../writer/index.ts';
import { collectFor, Monitor, observeWith, prometheusText, type Watched } from './index.ts';
import { METRICS, prometheusName } from './metric-table.ts';

const HANDLE = `data:text/javascript,
  export function run({ mailbox }) { mailbox.handle((packet) => packet.release()); }`;
const makePool = (): BufferPool =>
  BufferPool.create({ bufferSize: 1024, bufferCount: 32, batchSize: 2, maxThreads: 4 });

function packetOf(pool: BufferPool): Packet {
  const packet = Packet.tryFrom(pool, 'hello');
  if (packet === undefined) throw new Error('no buffer');
  return packet;
}

test('whoever reads the counters writes no word that other threads see', () => {
  const pool = makePool();
  const other = BufferPool.attach(pool.handle);
  const channel = PacketChannel.create(pool, { kind: 'mpmc', capacity: 8 });
  const flusher = WriteFlusher.create(pool);
  const monitor = new Monitor();
  monitor.watch('pool', other);
  monitor.watch('channel', PacketChannel.attach(other, channel.handle));
  monitor.watch('flusher', flusher);
  channel.sender().trySend(packetOf(pool));
  const words = () =>
    [pool.handle.control, channel.handle.control].map((block) => Array.from(new Int32Array(block)));
  const before = words();
  for (let i = 0; i < 3; i++) {
    expect(prometheusText(monitor)).toContain('busbar_channel');
    expect(monitor.snapshot({ holders: true }).objects).not.toEqual([]);
    expect(monitor.health().live).toBe(true);
  }
  expect(words()).toEqual(before);
});

/** One of each kind, all of them with something to show. */
async function everything(): Promise<{ monitor: Monitor; pool: BufferPool; end(): Promise<void> }> {
  const pool = makePool();
  const flusher = WriteFlusher.create(pool);
  const channel = PacketChannel.create(pool, { kind: 'mpmc', capacity: 8 });
  channel.sender().trySend(packetOf(pool));
  const bus = new Bus(pool);
  bus.tryPublish('a', 'unmatched');
  const group = await ExecutorGroup.start({ pool, module: HANDLE, count: 1 });
  const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');
  const server = await TcpServer.listen(pool, {
    codec,
    handler: async (link) => {
      for await (const packet of link) {
        await link.write(packet);
        packet.release();
      }
    },
  });
  const link = await TcpLink.connect(pool, { port: server.port, codec });
  await link.write('hello');
  (await link.receive())?.release();
  const udp = await UdpLink.open(pool, { handler: () => ({ onMessage() {} }) });
  const monitor = new Monitor({ program: 'test' });
  const watched: Readonly<Record<string, Watched>> = {
    ...{ pool, flusher, writer: new LocalWriter(flusher), channel, bus, group, server, link, udp },
  };
  for (const [name, subject] of Object.entries(watched)) monitor.watch(name, subject);
  const end = async (): Promise<void> => {
    udp.destroy();
    await Promise.all([link.close(), server.close()]);
    await group.stop();
  };
  return { monitor, pool, end };
}

test('a snapshot shows every kind, each with all of its fields, and survives JSON', async () => {
  const { monitor, end } = await everything();
  const snapshot = monitor.snapshot();
  expect(JSON.parse(JSON.stringify(snapshot))).toEqual(JSON.parse(JSON.stringify(snapshot)));
  expect(Object.keys(snapshot.metrics).sort()).toEqual(Object.keys(METRICS).sort());
  for (const [kind, metrics] of Object.entries(snapshot.metrics)) {
    const fields = snapshot.objects
      .filter((each) => each.kind === kind)
      .map(({ stats }) => Object.keys(stats));
    const missing = metrics.filter(({ field }) => !fields.some((keys) => keys.includes(field)));
    expect(missing, kind).toEqual([]);
  }
  const stats = (name: string): object =>
    snapshot.objects.find((each) => each.name === name)?.stats ?? {};
  expect(stats('channel')).toMatchObject({ sent: 1, queued: 1, capacity: 8 });
  expect(stats('bus')).toMatchObject({ published: 1, unmatched: 1 });
  expect(stats('server')).toMatchObject({ links: 1, accepted: 1, bytesRead: 7, bytesWritten: 7 });
  expect(snapshot.health).toEqual({ live: true, ready: true, reasons: [] });
  await end();
  expect(monitor.health().reasons).toEqual(['group-0: ended']);
  monitor.unwatch('group');
  expect(monitor.health().ready).toBe(true);
  // What links did that have closed still counts.
  const after = monitor.snapshot().objects.find(({ name }) => name === 'server')?.stats;
  expect(after).toMatchObject({ links: 0, accepted: 1, bytesRead: 7, bytesWritten: 7 });
});

test('who holds buffers is seen by who asks for it', () => {
  const pool = makePool();
  pool.nameThread('main');
  const monitor = new Monitor();
  monitor.watch('pool', pool);
  const packets = [packetOf(pool), packetOf(pool)];
  const channel = PacketChannel.create(pool, { kind: 'mpmc', capacity: 8, name: 'orders' });
  channel.sender().trySend(packetOf(pool));
  expect(monitor.snapshot().objects[0]?.holders).toBeUndefined();
  expect(monitor.snapshot({ holders: true }).objects[0]?.holders).toEqual([
    { thread: 'main', kind: 'packet', name: '', count: 2 },
    { thread: '', kind: 'channel', name: 'orders', count: 1 },
  ]);
  for (const packet of packets) packet.release();
  expect(() => monitor.snapshot({ holder: true } as never)).toThrow(/^there is no option/);

  // Of many, the most; the others as one.
  const channels = Array.from({ length: 20 }, (_, i) =>
    PacketChannel.create(pool, { kind: 'mpmc', capacity: 2, name: `c${i}` }),
  );
  for (const each of channels) each.sender().trySend(packetOf(pool));
  const found = monitor.snapshot({ holders: true }).objects[0]?.holders;
  expect(found).toHaveLength(17);
  expect(found?.at(-1)).toEqual({ thread: '', kind: 'others', name: '', count: 5 });

  const large = BufferPool.create({ bufferSize: 1, bufferCount: 1 << 19, maxThreads: 3 });
  for (let i = 0; i < 2; i++) BufferPool.attach(large.handle);
  monitor.watch('large', large);
  const all = monitor.snapshot({ holders: true }).objects;
  expect(all.find(({ name }) => name === 'large')).toMatchObject({ stats: { capacity: 1 << 19 } });
  expect(all.find(({ name }) => name === 'large')?.holders).toBeUndefined();
});

test('a name may have any characters: labels are escaped as Prometheus reads them', async () => {
  const monitor = new Monitor();
  monitor.watch('a"b\\c\nd\te', makePool());
  const [own, theirs] = await scraped(monitor);
  expect(own[0]).toBe(String.raw`busbar_pool_buffer_limit{busbar_pool_name="a\"b\\c\nd	e"} 32`);
  expect(own).toEqual(theirs);
});

test('names are unique within a kind and attribute, and as OpenTelemetry wants them', () => {
  for (const [kind, metrics] of Object.entries(METRICS)) {
    const keys = metrics.map(({ name, attributes }) => `${name} ${JSON.stringify(attributes)}`);
    expect(new Set(keys).size, kind).toBe(keys.length);
    for (const { name, help, type, unit } of metrics) {
      expect(name).toMatch(/^busbar(\.[a-z]+)+$/);
      expect(help, name).toMatch(/^[A-Z].*\.$/);
      const others = Object.values(METRICS).flat();
      const same = others.filter((each) => each.name === name);
      expect(same.every((each) => each.type === type && each.unit === unit)).toBe(true);
    }
  }
});

test('prom-client, OpenTelemetry and our text tell the same', async () => {
  const { monitor, end } = await everything();
  const [own, theirs] = await scraped(monitor);
  // An executor goes on between two looks: what it does, and how often.
  const still = (line: string): string =>
    line.startsWith('busbar_executor') ? line.replace(/state="\w+"|\S+$/g, '') : line;
  expect(theirs.map(still)).toEqual(own.map(still));
  expect(own).toContain('busbar_pool_buffer_limit{busbar_pool_name="pool"} 32');
  expect(own.filter((line) => line.startsWith('busbar_executor_state'))).toHaveLength(1);

  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1e9 });
  const provider = new MeterProvider({ readers: [reader] });
  otel.setGlobalMeterProvider(provider);
  const stop = observeWith(otel.getMeter('busbar'), monitor);
  await reader.forceFlush();
  const found = exporter.getMetrics().flatMap((each) => each.scopeMetrics[0]?.metrics ?? []);
  const sent = found.find(({ descriptor }) => descriptor.name === 'busbar.channel.messages');
  const points = sent?.dataPoints.map(({ attributes, value }) => [attributes, value]);
  expect(points).toContainEqual([
    { 'busbar.channel.name': 'channel', 'busbar.direction': 'sent' },
    1,
  ]);
  const names = new Set(found.map(({ descriptor }) => descriptor.name));
  const expected = own.map((line) => /^\w+/.exec(line)?.[0]);
  const all = Object.values(METRICS).flat();
  const seen = all
    .filter(({ name }) => names.has(name))
    .map(prometheusName)
    .filter(isSteady);
  expect(new Set(seen)).toEqual(new Set(expected));
  let snapshots = 0;
  monitor.check('none', () => {
    snapshots++;
    return '';
  });
  await reader.forceFlush();
  expect(snapshots).toBe(1);
  stop();
  await reader.forceFlush();
  expect(snapshots).toBe(1);
  await provider.shutdown();
  await end();
});

/** Whether a line has a sample that does not change by itself. */
const isSteady = (line: string): boolean => !/^#|^$|turn|parks/.test(line);

/** The samples as our text and as prom-client has them, without those that change by themselves. */
async function scraped(monitor: Monitor): Promise<[string[], string[]]> {
  const registry = new promClient.Registry();
  collectFor(promClient, monitor, registry);
  const linesOf = (text: string): string[] => text.split('\n').filter(isSteady).sort();
  return [linesOf(prometheusText(monitor)), linesOf(await registry.metrics())];
}

test('figures of your own have a kind, and parts', async () => {
  const monitor = new Monitor({ program: 'p' });
  const metric = { field: 'n', type: 'counter', unit: '{n}', name: 'my.n', help: 'Mine.' } as const;
  monitor.watchOwn('mine', { kind: 'my', metrics: [metric], read: () => [{ n: 1 }, { n: 2 }] });
  monitor.watchOwn('bad', {
    kind: 'my',
    metrics: [metric],
    read: () => {
      throw new Error('gone');
    },
  });
  const [own, theirs] = await scraped(monitor);
  expect(own).toEqual([
    'my_n_total{busbar_my_name="mine",busbar_part="0"} 1',
    'my_n_total{busbar_my_name="mine",busbar_part="1"} 2',
  ]);
  expect(theirs).toEqual(own);
  expect(monitor.health()).toEqual({ live: true, ready: false, reasons: ['bad: gone'] });
});

test('health names what is wrong: a stuck executor, a closed pool, a condition', async () => {
  const pool = makePool();
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const module = `data:text/javascript,
    export function run({ mailbox, data }) {
      mailbox.handle((packet) => { packet.release(); Atomics.wait(data, 0, 0); });
    }`;
  const executor = await Executor.start({ pool, module, data: gate });
  const monitor = new Monitor({ stuckMs: 1 });
  monitor.watch('one', executor);
  monitor.watch('pool', pool);
  let isWarm = false;
  monitor.check('cache', () => (isWarm ? '' : 'still cold'));
  expect(monitor.health().reasons).toContain('cache: still cold');
  isWarm = true;
  executor.trySend(packetOf(pool));
  await expect.poll(() => monitor.health().live).toBe(false);
  expect(monitor.health().reasons[0]).toMatch(/^one-0: stuck for \d+ ms$/);
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  await expect.poll(() => monitor.health().live).toBe(true);
  await executor.stop();
  pool.close();
  expect(monitor.health().reasons).toEqual(['one-0: ended', 'pool: closed']);
});

test('wrong arguments are named', () => {
  const monitor = new Monitor();
  const pool = makePool();
  monitor.watch('pool', pool);
  expect(() => monitor.watch('pool', pool)).toThrow('name must be new, but "pool" is watched');
  expect(() => monitor.watch('', pool)).toThrow('name must be a string that is not empty, got ""');
  expect(() => monitor.watch('x', {} as never)).toThrow(
    /^subject must be one of BufferPool, PacketChannel,/,
  );
  expect(() => monitor.watch('x', null as never)).toThrow(
    /^subject must be one of BufferPool, PacketChannel,/,
  );
  const own = { kind: 'pool', metrics: [], read: () => ({}) };
  expect(() => monitor.watchOwn('x', own)).toThrow("kind must not be one of busbar's");
  expect(() => monitor.check('x', 1 as never)).toThrow(/^condition must be a function/);
  expect(() => new Monitor({ stuckMs: 0 })).toThrow(/^stuckMs must be/);
  expect(() => collectFor({} as never, monitor)).toThrow(/^client must be/);
  expect(() => observeWith({} as never, monitor)).toThrow(/^meter must be/);
});
