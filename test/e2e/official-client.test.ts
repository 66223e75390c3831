// SPDX-License-Identifier: MIT
/** End to end: the official client, unmodified, against the broker. */

import {
  AuthorizationError,
  connect,
  headers,
  type Msg,
  type NatsConnection,
  type NodeConnectionOptions,
  RequestError,
  type Subscription,
} from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXECUTORS, type StartedBroker, startBroker } from './started-broker.ts';

/** The next `count` messages of a subscription. */
async function take(subscription: Subscription, count: number): Promise<Msg[]> {
  const messages: Msg[] = [];
  if (count === 0) return messages;
  for await (const message of subscription) {
    messages.push(message);
    if (messages.length === count) break;
  }
  return messages;
}

describe.each(EXECUTORS)('a broker on %i threads', (executors) => {
  let broker: StartedBroker;

  beforeAll(async () => {
    broker = await startBroker(executors);
  });

  afterAll(async () => {
    await broker.drain();
  });

  function client(options: NodeConnectionOptions = {}): Promise<NatsConnection> {
    return connect({ servers: `127.0.0.1:${broker.port}`, reconnect: false, ...options });
  }

  test('publish and subscribe', async () => {
    const nc = await client();
    const subscription = nc.subscribe('greet.joe', { max: 2 });
    nc.publish('greet.joe', 'hello');
    nc.publish('greet.sue', 'not for joe');
    nc.publish('greet.joe', new Uint8Array([0, 13, 10, 255]));
    const [first, second] = await take(subscription, 2);
    expect(first.subject).toBe('greet.joe');
    expect(first.string()).toBe('hello');
    expect([...second.data]).toEqual([0, 13, 10, 255]);
    await nc.close();
  });

  test('wildcards', async () => {
    const nc = await client();
    const one = nc.subscribe('stock.*.price');
    const all = nc.subscribe('stock.>');
    for (const subject of ['stock.acme.price', 'stock.acme', 'stock.a.b.price', 'stocks.x.price']) {
      nc.publish(subject, subject);
    }
    await nc.flush();
    const subjects = async (from: Subscription, count: number): Promise<string[]> =>
      (await take(from, count)).map((message) => message.subject);
    expect(await subjects(all, 3)).toEqual(['stock.acme.price', 'stock.acme', 'stock.a.b.price']);
    expect(await subjects(one, 1)).toEqual(['stock.acme.price']);
    expect(one.getProcessed()).toBe(1);
    await nc.close();
  });

  test('queue groups share the work', async () => {
    const workers = await Promise.all([client(), client(), client()]);
    const seen: number[][] = workers.map(() => []);
    workers.forEach((worker, i) => {
      worker.subscribe('jobs.*', {
        queue: 'workers',
        callback: (_error, message) => {
          seen[i].push(Number(message.string()));
        },
      });
    });
    await Promise.all(workers.map((worker) => worker.flush()));
    const boss = await client();
    const overseer = boss.subscribe('jobs.>');
    for (let i = 0; i < 300; i++) boss.publish(`jobs.${i % 7}`, `${i}`);
    await boss.flush();
    await Promise.all(workers.map((worker) => worker.flush()));
    expect(seen.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    for (const share of seen) expect(share.length).toBeGreaterThan(30);
    expect(await take(overseer, 300)).toHaveLength(300);
    await Promise.all([...workers, boss].map((nc) => nc.close()));
  });

  test('request and reply, with one inbox for all requests and with one for each', async () => {
    const [server, asker] = await Promise.all([client(), client()]);
    server.subscribe('double', {
      callback: (_error, message) => {
        message.respond(`${2 * Number(message.string())}`);
      },
    });
    await server.flush();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        asker.request('double', `${i}`, { timeout: 120_000, noMux: i % 2 === 0 }),
      ),
    );
    expect(answers.map((answer) => Number(answer.string()))).toEqual(
      Array.from({ length: 100 }, (_, i) => 2 * i),
    );
    await Promise.all([server.close(), asker.close()]);
  });

  test('a request that nobody serves fails at once', async () => {
    const nc = await client();
    const failure = await nc
      .request('nobody.home', '', { timeout: 120_000 })
      .catch((error) => error);
    expect(failure).toBeInstanceOf(RequestError);
    expect((failure as RequestError).isNoResponders()).toBe(true);
    await nc.close();
  });

  test('headers', async () => {
    const nc = await client();
    const subscription = nc.subscribe('with.headers');
    const given = headers();
    given.set('Trace', 'abc');
    given.append('Trace', 'def');
    given.set('Empty', '');
    nc.publish('with.headers', 'body', { headers: given, reply: 'answer.here' });
    nc.publish('with.headers', '', { headers: given });
    const [first, second] = await take(subscription, 2);
    expect(first.headers?.values('Trace')).toEqual(['abc', 'def']);
    expect(first.string()).toBe('body');
    expect(first.reply).toBe('answer.here');
    expect(second.data).toHaveLength(0);
    expect(second.headers?.has('Empty')).toBe(true);
    await nc.close();
  });

  test('without echo a client does not hear itself', async () => {
    const [deaf, other] = await Promise.all([client({ noEcho: true }), client()]);
    const subscription = deaf.subscribe('echo');
    await deaf.flush();
    deaf.publish('echo', 'own');
    await deaf.flush();
    other.publish('echo', 'other');
    const [message] = await take(subscription, 1);
    expect(message.string()).toBe('other');
    await Promise.all([deaf.close(), other.close()]);
  });

  test('drain: messages on their way arrive before the subscription ends', async () => {
    const [subscriber, publisher] = await Promise.all([client(), client()]);
    let count = 0;
    subscriber.subscribe('drained', {
      callback: () => {
        count++;
      },
    });
    await subscriber.flush();
    for (let i = 0; i < 1000; i++) publisher.publish('drained', 'x');
    await publisher.flush();
    await subscriber.drain();
    expect(count).toBe(1000);
    expect(await subscriber.closed()).toBeUndefined();
    await publisher.drain();
  });

  test('the largest payload allowed arrives, a larger one is refused', async () => {
    const nc = await client();
    expect(nc.info?.max_payload).toBe(65_536);
    const subscription = nc.subscribe('large');
    const payload = new Uint8Array(65_536).map((_, i) => i * 31);
    nc.publish('large', payload);
    const [message] = await take(subscription, 1);
    expect(Buffer.compare(message.data, payload)).toBe(0);
    expect(() => nc.publish('large', new Uint8Array(65_537))).toThrow(/payload/);
    await nc.close();
  });

  test('rtt and pings: a client that asks for signs of life gets them', async () => {
    const nc = await client({ pingInterval: 20, maxPingOut: 2 });
    expect(await nc.rtt()).toBeGreaterThanOrEqual(0);
    let pings = 0;
    for await (const status of nc.status()) {
      if (status.type === 'ping') pings++;
      if (pings === 3) break;
    }
    expect(nc.isClosed()).toBe(false);
    await nc.close();
  });

  test('a broker that asks for signs of life gets them', async () => {
    const asking = await startBroker(executors, { pingIntervalMs: 10, maxPingsOut: 100 });
    const nc = await connect({ servers: `127.0.0.1:${asking.port}`, reconnect: false });
    const subscription = nc.subscribe('alive');
    // The client says nothing for 150 intervals; without its answers the broker cuts it off after
    // 101. A busy machine may keep the client from answering for a second.
    const pings = async (): Promise<number> => (await asking.stats()).pings;
    await expect.poll(pings, { interval: 5 }).toBeGreaterThan(150);
    nc.publish('alive', 'still');
    expect(await take(subscription, 1)).toHaveLength(1);
    await nc.close();
    await asking.drain();
  });

  test('user and password, or a token, are asked for when the broker has them', async () => {
    const cases = [
      {
        options: { user: 'joe', pass: 'secret' },
        right: { user: 'joe', pass: 'secret' },
        wrong: [
          {},
          { user: 'joe', pass: 'guess' },
          { user: 'sue', pass: 'secret' },
          { token: 'x' },
        ],
      },
      {
        options: { token: 't0ken' },
        right: { token: 't0ken' },
        wrong: [{}, { token: 't0ke' }, { user: 'joe', pass: 't0ken' }],
      },
    ];
    for (const { options, right, wrong } of cases) {
      const guarded = await startBroker(executors, options);
      const servers = `127.0.0.1:${guarded.port}`;
      for (const credentials of wrong) {
        const failure = await connect({ servers, reconnect: false, ...credentials }).catch(
          (e) => e,
        );
        expect(failure, JSON.stringify(credentials)).toBeInstanceOf(AuthorizationError);
      }
      const nc = await connect({ servers, reconnect: false, ...right });
      expect(nc.info?.auth_required).toBe(true);
      await nc.flush();
      await nc.close();
      await guarded.drain();
    }
  });

  test('when the broker drains, clients get what was published, hear of it, close', async () => {
    const leaving = await startBroker(executors);
    const servers = `127.0.0.1:${leaving.port}`;
    const [subscriber, publisher] = await Promise.all([
      connect({ servers, reconnect: false }),
      connect({ servers, reconnect: false }),
    ]);
    let count = 0;
    subscriber.subscribe('last.words', {
      callback: () => {
        count++;
      },
    });
    await subscriber.flush();
    const told: string[] = [];
    const listening = (async () => {
      for await (const { type } of subscriber.status()) told.push(type);
    })();
    for (let i = 0; i < 10_000; i++) publisher.publish('last.words', `${i}`);
    await publisher.flush();
    await leaving.drain();
    await Promise.all([subscriber.closed(), publisher.closed()]);
    await listening;
    expect(told).toContain('ldm');
    expect(count).toBe(10_000);
    const refused = await connect({ servers, reconnect: false }).catch((error) => error);
    expect(refused).toBeInstanceOf(Error);
  });
});
