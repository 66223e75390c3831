// SPDX-License-Identifier: MIT
/** End to end: the broker on several cores, messages between them, and the death of one. */

import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, describe, expect, test } from 'vitest';
import type { BrokerOptions } from '../../broker/broker-options.ts';
import type { CrashKind } from './broker-under-test.main.ts';
import { RawClient } from './raw-client.ts';
import { type StartedBroker, startBroker } from './started-broker.ts';
import { delivered, message, numbersIn } from './wire.ts';

const COUNT = 3;
let broker: StartedBroker | undefined;
const clients: RawClient[] = [];

async function start(
  options: BrokerOptions = {},
  environment: Record<string, string> = {},
): Promise<StartedBroker> {
  broker = await startBroker(COUNT, options, environment);
  return broker;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  const rest = { connections: 0, subscriptions: 0, held: 0 };
  await expect.poll(() => broker?.stats()).toMatchObject(rest);
  await broker?.drain();
});

/** At which executor a client is. */
function placeOf(client: RawClient): number {
  return Number(client.info.client_id) % COUNT;
}

/** Connects until it is a client of that executor. */
async function clientAt(place: number, greeting?: string): Promise<RawClient> {
  for (;;) {
    const client = await RawClient.connect((broker as StartedBroker).port, greeting);
    if (placeOf(client) === place) {
      clients.push(client);
      return client;
    }
    client.destroy();
    await client.closed;
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test('what is subscribed to before a PONG is delivered from every executor after it', async () => {
  await start();
  const publishers = await Promise.all([0, 1, 2].map((place) => clientAt(place)));
  for (let i = 0; i < 60; i++) {
    const subscriber = await RawClient.connect((broker as StartedBroker).port);
    await subscriber.converse(`SUB s.${i} 1\r\n`);
    for (const publisher of publishers) await publisher.converse(message(`s.${i}`, 'x'));
    expect(await subscriber.converse('')).toBe(delivered(`s.${i}`, '1', 'x').repeat(3));
    // It is forgotten as surely.
    await subscriber.converse('UNSUB 1\r\n');
    for (const publisher of publishers) await publisher.converse(message(`s.${i}`, 'y'));
    expect(await subscriber.converse('')).toBe('');
    subscriber.destroy();
  }
});

test('a queue group has members everywhere, and each message goes to one', async () => {
  await start();
  const members = await Promise.all([0, 1, 1, 2].map((place) => clientAt(place)));
  for (const member of members) await member.converse('SUB work.* crew 1\r\n');
  const bosses = await Promise.all([0, 1, 2].map((place) => clientAt(place)));
  const each = 2000;
  await Promise.all(bosses.map((boss) => boss.converse(message('work.now', 'x').repeat(each))));
  const heard = await Promise.all(members.map((member) => member.converse('')));
  const counts = heard.map((text) => text.split('MSG work.now').length - 1);
  expect(counts.reduce((sum, count) => sum + count)).toBe(3 * each);
  // A fair share is 1500, with a standard deviation of 34.
  for (const count of counts) expect(Math.abs(count - 1500)).toBeLessThan(400);
});

test('requests are answered from any executor to any', async () => {
  const { port } = await start();
  const servers = `127.0.0.1:${port}`;
  const workers = await Promise.all(upTo(4).map(() => connect({ servers, reconnect: false })));
  for (const worker of workers) {
    worker.subscribe('double', {
      queue: 'doublers',
      callback: (_error, request) => {
        request.respond(`${2 * Number(request.string())}`);
      },
    });
  }
  await Promise.all(workers.map((worker) => worker.flush()));
  const askers = await Promise.all(upTo(6).map(() => connect({ servers, reconnect: false })));
  for (const asker of askers) {
    const ask = (i: number): ReturnType<NatsConnection['request']> =>
      asker.request('double', `${i}`, { timeout: 120_000, noMux: i % 2 === 0 });
    const answers = await Promise.all(upTo(200).map(ask));
    expect(answers.map((answer) => Number(answer.string()))).toEqual(upTo(200).map((i) => 2 * i));
  }
  await Promise.all([...workers, ...askers].map((nc) => nc.close()));
});

test('10⁵ messages of each of three publishers arrive in order at every executor', async () => {
  await start();
  const count = 100_000;
  const subscribers = await Promise.all([0, 1, 2].map((place) => clientAt(place)));
  for (const subscriber of subscribers) await subscriber.converse('SUB flow.* 1\r\nSUB end 2\r\n');
  const publishers = await Promise.all([0, 1, 2].map((place) => clientAt(place)));
  const heard = subscribers.map((subscriber) => subscriber.takeThrough('MSG end 2 0\r\n\r\n'));
  await Promise.all(
    publishers.map(async (publisher, id) => {
      for (let i = 0; i < count; i += 1000) {
        let text = '';
        for (let k = 0; k < 1000; k++) text += message(`flow.${id}`, `${i + k} `);
        if (i % 10_000 === 0) await publisher.converse(text);
        else publisher.say(text);
      }
      await publisher.converse('');
    }),
  );
  await publishers[0].converse('PUB end 0\r\n\r\n');
  for (const text of await Promise.all(heard)) {
    for (const id of [0, 1, 2]) {
      const own = text.matchAll(new RegExp(`^MSG flow\\.${id} 1 \\d+\\r\\n(\\d+) `, 'gm'));
      expect([...own].map((match) => Number(match[1]))).toEqual(upTo(count));
    }
  }
});

describe.each(['throw', 'exit', 'reject'] as CrashKind[])('one executor dies (%s)', (how) => {
  test('its clients are dropped, all others go on, and it comes back', async () => {
    const { port, crash, stats } = bound(await start());
    const doomed = await Promise.all([1, 1].map((place) => clientAt(place)));
    for (const one of doomed) await one.converse('SUB flow.> 1\r\nSUB work crew 2\r\n');
    const survivor = await clientAt(2);
    await survivor.converse('SUB flow.> 1\r\nSUB after 2\r\n');
    const publishers = await Promise.all([0, 2].map((place) => clientAt(place)));
    const count = 60_000;
    const heard = survivor.takeThrough('MSG flow.end 1 0\r\n\r\n');
    const publishing = publishers.map(async (publisher, id) => {
      for (let i = 0; i < count; i += 500) {
        let text = '';
        for (let k = 0; k < 500; k++) text += message(`flow.${id}`, `${i + k} `);
        await publisher.converse(text);
        if (id === 0 && i === 10_000) await crash(1, how);
      }
    });
    await Promise.all(doomed.map((one) => one.closed));
    await Promise.all(publishing);
    await publishers[0].converse('PUB flow.end 0\r\n\r\n');
    const text = await heard;
    for (const id of [0, 1]) {
      const own = text.matchAll(new RegExp(`^MSG flow\\.${id} 1 \\d+\\r\\n(\\d+) `, 'gm'));
      expect([...own].map((match) => Number(match[1]))).toEqual(upTo(count));
    }
    // The one that came back knows who subscribes to what, and nobody waits for its group's dead.
    const again = await clientAt(1);
    const worker = await clientAt(0);
    await worker.converse('SUB work crew 1\r\n');
    await again.converse(message('after', 'x') + message('work', '1 ').repeat(20));
    expect(await survivor.converse('')).toBe(delivered('after', '2', 'x'));
    expect(numbersIn(await worker.converse(''))).toHaveLength(20);
    expect(await stats()).toMatchObject({ crashes: 1 });
    expect(port).toBeGreaterThan(0);
  });
});

test('executors die again and again, and the broker stays', async () => {
  const { crash } = bound(await start());
  const talkers = await Promise.all([0, 2].map((place) => clientAt(place)));
  await talkers[1].converse('SUB talk 1\r\n');
  for (let round = 0; round < 5; round++) {
    const victim = await clientAt(1);
    await victim.converse('SUB > 1\r\nSUB talk 2\r\n');
    await crash(1, 'exit');
    await victim.closed;
    await talkers[0].converse(message('talk', `${round} `));
    expect(numbersIn(await talkers[1].converse(''))).toEqual([round]);
  }
});

test('without the native shim the host brings clients to executors, dead or alive', async () => {
  const { crash } = bound(await start({}, { BUSBAR_NATIVE: 'off' }));
  const all = await Promise.all([0, 1, 2].map((place) => clientAt(place)));
  for (const one of all) await one.converse('SUB talk 1\r\n');
  const publisher = await clientAt(0);
  await publisher.converse(message('talk', 'x').repeat(1000));
  for (const one of all) {
    expect(await one.converse('')).toBe(delivered('talk', '1', 'x').repeat(1000));
  }
  await crash(1, 'throw');
  await all[1].closed;
  const again = await clientAt(1);
  await again.converse(message('talk', 'y'));
  for (const one of [all[0], all[2]]) {
    expect(await one.converse('')).toBe(delivered('talk', '1', 'y'));
  }
});

/** Its methods, to be called without it. */
function bound(started: StartedBroker): StartedBroker {
  return {
    port: started.port,
    stats: () => started.stats(),
    crash: (index, how) => started.crash(index, how),
    drain: () => started.drain(),
  };
}
