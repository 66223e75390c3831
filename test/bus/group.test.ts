// SPDX-License-Identifier: MIT
/** Buses of real threads: a million messages, and deaths under load. */
import { Bus } from 'busbar/bus';
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
