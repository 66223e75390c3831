// SPDX-License-Identifier: MIT
/** Buses of real threads: a million messages, and deaths under load. */
import { Bus, type BusMessage, executorPeers } from 'busbar/bus';
import { ExecutorGroup } from 'busbar/executor';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { auditPool } from '../pool-audit.ts';
import { until } from '../turns.ts';
import type { Command } from './party.ts';

const MODULE = new URL('../../build/test/bus/party.worker.js', import.meta.url);

async function tell(bus: Bus, index: number, command: Command): Promise<unknown> {
  using answer = await bus.request(`ctl.${index}`, JSON.stringify(command));
  return JSON.parse(answer.text());
}

/** Nothing is held, by whoever has died or not. */
function expectAllHome(pool: BufferPool): void {
  const { held, inTransit, threads, capacity, freeCached, freeShared } = pool.who();
  expect({
    held,
    inTransit,
    threads: threads.length,
    missing: capacity - freeCached - freeShared,
  }).toEqual({ held: 0, inTransit: 0, threads: 1, missing: 0 });
  expect(auditPool(pool)).toEqual([]);
}

test('a million messages come in order, every byte as it was sent', async () => {
  const pool = BufferPool.create({ bufferSize: 16_384, bufferCount: 512, maxThreads: 4 });
  const group = await ExecutorGroup.start({ pool, module: MODULE, count: 2 });
  const bus = Bus.join(group);
  const ready = bus.subscribe('count.ready', { max: 1 }, () => {});
  await ready.subscribed();
  const counted = tell(bus, 1, { kind: 'count', subject: 'count', messages: 1_000_000 });
  await ready.closed;
  const sent = await tell(bus, 0, { kind: 'number', subject: 'count', messages: 1_000_000 });
  expect(sent).toBe(1_000_000);
  expect(await counted).toBe(0);
  expect(bus.stats()).toMatchObject({ peers: 2, lost: 0, strays: 0 });
  await group.stop();
  bus.close();
  expectAllHome(pool);
});

test('executors that die under load lose no buffer and no order; successors join', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 1024, maxThreads: 8 });
  const count = 3;
  const crashes: number[] = [];
  const group = await ExecutorGroup.start({
    pool,
    module: MODULE,
    count,
    data: 'load',
    restart: { maxRestarts: 100 },
    onCrash: (index) => crashes.push(index),
  });
  const bus = Bus.join(group);
  const heard: Map<string, number> = new Map();
  let wrong = 0;
  bus.subscribe('load.*', (message) => {
    const [source, number] = message.text().split(' ') as [string, string];
    if ((heard.get(source) ?? 0) >= Number(number)) wrong++;
    heard.set(source, Number(number));
  });
  await bus.flush();
  for (let round = 0; round < count; round++) {
    const index = round;
    await until(() => [...heard.keys()].some((source) => source.startsWith(`${index}-`)));
    // It answers nobody.
    const command: Command = { kind: 'die' };
    await bus.publish(`ctl.${index}`, JSON.stringify(command));
    await until(() => crashes.length > round);
    const name = `${index}-1`;
    await until(() => (heard.get(name) ?? 0) > 10);
    // Whoever is there serves.
    using answer = await bus.request('job', await Packet.from(pool, 'work'));
    expect(answer.text()).toBe('done');
  }
  const counters = group.stats().map((each) => each.counters);
  expect(wrong).toBe(0);
  for (const each of counters) expect(each[1], 'messages out of order').toBe(0);
  for (const each of counters) expect(each[0]).toBeGreaterThan(0);
  expect(bus.stats().strays).toBe(0);
  await group.stop();
  bus.close();
  expectAllHome(pool);
});

test('what an executor had in hand when it died is reported, whoever had sent it', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 256, maxThreads: 6 });
  let restarts = 0;
  const group = await ExecutorGroup.start({
    pool,
    module: MODULE,
    count: 2,
    restart: { maxRestarts: 4, delayMs: 0 },
    onRestart: () => void restarts++,
  });
  const crashes: { index: number; all: string[] }[] = [];
  let kept: BusMessage | undefined;
  let borrowed: BusMessage | undefined;
  const bus = Bus.join(group, {
    onCrash: (index, inHand) => {
      borrowed = inHand[0];
      kept ??= inHand.find(({ subject }) => subject === 'job.host')?.keep();
      const all = inHand.map((each) => `${each.subject} of ${each.source}: ${each.text()}`);
      crashes.push({ index, all: all.filter((text) => text.startsWith('job')).sort() });
    },
  });
  await tell(bus, 0, { kind: 'hold', pattern: 'job.>' });
  const headers = { Kind: 'job' };
  for (const text of ['1', '2', '3']) {
    await bus.publish('job.host', text, { headers, reply: 'done' });
    await bus.flush();
  }
  await bus.publish('job.packet', await Packet.from(pool, 'by reference'));
  await bus.publish('job.large', 'x'.repeat(4095));
  await tell(bus, 1, { kind: 'publish', subject: 'job.peer', texts: ['4'] });
  await bus.flush();
  await bus.publish('ctl.0', JSON.stringify({ kind: 'die' }));
  await until(() => crashes.length === 1);
  const wanted = [
    'job.host of bus-2: 1',
    'job.host of bus-2: 2',
    'job.host of bus-2: 3',
    `job.large of bus-2: ${'x'.repeat(4095)}`,
    'job.packet of bus-2: by reference',
    'job.peer of bus-1: 4',
  ];
  expect(crashes).toEqual([{ index: 0, all: wanted }]);
  expect(kept).toMatchObject({ subject: 'job.host', reply: 'done', headers });
  expect(kept?.text()).toBe('1');
  expect(() => borrowed?.text()).toThrow(/borrowed/);
  kept?.release();
  // One that dies in a handler that runs at once had that message in hand.
  await tell(bus, 1, { kind: 'fall', subject: 'job.fatal' });
  await bus.publish('job.fatal', 'last words');
  await until(() => crashes.length === 2);
  expect(crashes[1]).toEqual({ index: 1, all: ['job.fatal of bus-2: last words'] });
  await until(() => restarts === 2);
  await bus.flush();
  await group.stop();
  bus.close();
  expectAllHome(pool);
});

test('a packet that no bus has sent is counted, and released', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64, maxThreads: 4 });
  const group = await ExecutorGroup.start({ pool, module: MODULE, count: 1 });
  const bus = Bus.join(group);
  expect(() => Bus.join(group)).toThrow(/reader/);
  for (const text of ['', 'stray', 'stray stray stray!!']) {
    await group.sendTo(0, await Packet.from(pool, text));
  }
  await tell(bus, 0, { kind: 'publish', subject: 'a', texts: ['still here'] });
  await group.stop();
  bus.close();
  expectAllHome(pool);
});

test.each([undefined, null, 7, 'group', {}, { peer() {} }, { peer() {}, mailbox: {} }])(
  'a bus does not join %j',
  (member) => {
    expect(() => Bus.join(member as never)).toThrow(/^member must be an ExecutorContext or an Ex/);
    expect(() => executorPeers(member as never)).toThrow(/^context must be an ExecutorContext/);
  },
);

test('options are looked at before the mailbox is taken', async () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 64, maxThreads: 4 });
  const group = await ExecutorGroup.start({
    pool,
    module: 'data:text/javascript,export const run = () => {}',
    count: 1,
  });
  expect(() => Bus.join(group, { name: 'a b' })).toThrow(/name must be/);
  expect(() => Bus.join(group)).toThrow(/pool.bufferSize/);
  expect(() => Bus.join(group, { subjectBytesMax: -1 })).toThrow(/subjectBytesMax/);
  expect(() => Bus.join(group, { subjectBytesMax: 8 }), 'not with that pool').toThrow(RangeError);
  await group.stop();
  expectAllHome(pool);
});
