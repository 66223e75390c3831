// SPDX-License-Identifier: MIT
/**
 * End to end: the broker's limits, which clients wait or are closed, and that no other client
 * notices.
 */

import { describe, expect, test } from 'vitest';
import type { BrokerOptions } from '../../broker/broker-options.ts';
import { Random } from '../../src/base/random.ts';
import { RawClient } from './raw-client.ts';
import { EXECUTORS, type StartedBroker, startBroker } from './started-broker.ts';

const KIB = 1024;

/** A message of about 1 KiB that says which it is. */
function message(subject: string, i: number): string {
  const payload = `${i} `.padEnd(1000, 'x');
  return `PUB ${subject} ${payload.length}\r\n${payload}\r\n`;
}

/** Which messages these are. */
function numbersIn(text: string): number[] {
  return [...text.matchAll(/^(\d+) /gm)].map((match) => Number(match[1]));
}

/** Publishes until `enough`, each block after the broker has taken the one before. */
async function flood(
  client: RawClient,
  subject: string,
  enough: (blocks: number) => boolean | Promise<boolean>,
): Promise<number> {
  let blocks = 0;
  while (!(await enough(blocks))) {
    let text = '';
    for (let i = 0; i < 100; i++) text += message(subject, blocks * 100 + i);
    await client.converse(text);
    blocks++;
  }
  return blocks * 100;
}

async function hasSlowConsumer(broker: StartedBroker): Promise<boolean> {
  return (await broker.stats()).slowConsumers > 0;
}

describe.each(EXECUTORS)('a broker on %i threads', (executors) => {
  async function withBroker(
    options: BrokerOptions,
    body: (broker: StartedBroker) => Promise<void>,
  ): Promise<void> {
    const broker = await startBroker(executors, options);
    try {
      await body(broker);
      await expect.poll(() => broker.stats()).toMatchObject({ connections: 0, held: 0 });
    } finally {
      await broker.drain();
    }
  }

  test('a client that begins a message and does not end it is closed', async () => {
    await withBroker({ frameTimeoutMs: 100 }, async (broker) => {
      const slow = await RawClient.connect(broker.port);
      await slow.converse('');
      slow.say('PUB a 1000\r\nxxx');
      await slow.closed;
    });
  });

  test('a slow consumer is cut off, and its publisher and the others go on', async () => {
    const options = { maxPendingBytes: 256 * KIB, stallMs: 500, lingerMs: 600_000 };
    await withBroker(options, async (broker) => {
      const slow = await RawClient.connect(broker.port);
      await slow.converse('SUB flood 1\r\n');
      slow.socket.pause();
      const good = await RawClient.connect(broker.port);
      await good.converse('SUB flood 1\r\n');
      const goodHears = good.takeThrough('\n-1 ');
      const publisher = await RawClient.connect(broker.port);
      const count = await flood(publisher, 'flood', () => hasSlowConsumer(broker));
      await publisher.converse('PUB flood 4\r\n\n-1 \r\n');
      expect(numbersIn(await goodHears)).toEqual(Array.from({ length: count }, (_, i) => i));

      // When it reads again it finds whole messages, and at the end why there are no more.
      slow.socket.resume();
      const heard = await slow.untilClosed();
      expect(heard).toMatch(/x\r\n-ERR 'Slow Consumer'\r\n$/);
      const numbers = numbersIn(heard);
      expect(numbers).toEqual(numbers.map((_, i) => i));
      expect(numbers.length).toBeLessThan(count);
      expect(await broker.stats()).toMatchObject({ slowConsumers: 1 });
      publisher.destroy();
      good.destroy();
    });
  });

  test('a publisher waits for a consumer that is only a little slow', async () => {
    await withBroker({ maxPendingBytes: 128 * KIB, stallMs: 60_000 }, async (broker) => {
      const consumer = await RawClient.connect(broker.port);
      await consumer.converse('SUB flood 1\r\n');
      consumer.socket.pause();
      const publisher = await RawClient.connect(broker.port);
      const count = 20_000;
      let text = '';
      for (let i = 0; i < count; i++) text += message('flood', i);
      publisher.say(text);
      // The publisher is not read from any more, long before it has said everything.
      await expect.poll(() => broker.stats()).toMatchObject({ paused: 1 });
      expect((await broker.stats()).messagesIn).toBeLessThan(count);
      consumer.socket.resume();
      const numbers = numbersIn(await consumer.takeThrough(`\n${count - 1} `));
      expect(numbers).toEqual(Array.from({ length: count }, (_, i) => i));
      expect(await broker.stats()).toMatchObject({ slowConsumers: 0 });
      publisher.destroy();
      consumer.destroy();
    });
  });

  test('with no buffer left, publishers wait, and whoever holds most is cut off', async () => {
    const options = {
      poolBytes: 4 * KIB * KIB,
      maxConnections: 4,
      maxPendingBytes: 64 * KIB * KIB,
      stallMs: 20,
      lingerMs: 50,
    };
    await withBroker(options, async (broker) => {
      const slow = await RawClient.connect(broker.port);
      await slow.converse('SUB flood 1\r\n');
      slow.socket.pause();
      const publisher = await RawClient.connect(broker.port);
      await flood(publisher, 'flood', () => hasSlowConsumer(broker));
      await flood(publisher, 'flood', (blocks) => blocks > 10);
      slow.destroy();
      publisher.destroy();
    });
  });

  test('a client that publishes and does not read its own messages hurts only itself', async () => {
    await withBroker({ maxPendingBytes: 128 * KIB, stallMs: 20, lingerMs: 50 }, async (broker) => {
      const selfish = await RawClient.connect(broker.port);
      await selfish.converse('SUB me 1\r\n');
      selfish.socket.pause();
      for (let i = 0; i < 20_000; i++) selfish.say(message('me', i));
      await expect.poll(() => broker.stats()).toMatchObject({ slowConsumers: 1 });
      const other = await RawClient.connect(broker.port);
      expect(await other.converse('SUB a 1\r\nPUB a 1\r\nx\r\n')).toBe('MSG a 1 1\r\nx\r\n');
      selfish.destroy();
      other.destroy();
    });
  });

  test('a client that gives no sign of life is cut off as stale', async () => {
    await withBroker({ pingIntervalMs: 20, maxPingsOut: 2 }, async (broker) => {
      const dead = await RawClient.connect(broker.port);
      // More of them if its CONNECT came late. signs-of-life.test.ts counts them by its own clock.
      expect(await dead.untilClosed()).toMatch(/^(PING\r\n){2,}-ERR 'Stale Connection'\r\n$/);
    });
  });

  test('a client that does not say who it is is cut off in time', async () => {
    await withBroker({ token: 'secret', authTimeoutMs: 20 }, async (broker) => {
      const silent = await RawClient.connect(broker.port, '');
      expect(silent.info).toMatchObject({ auth_required: true });
      expect(await silent.untilClosed()).toBe("-ERR 'Authentication Timeout'\r\n");
    });
  });

  test('before a client has said who it is, it may say nothing else', async () => {
    await withBroker({ token: 'secret', authTimeoutMs: 60_000 }, async (broker) => {
      for (const said of ['PING\r\n', 'SUB a 1\r\n', 'GARBAGE\r\n', 'CONNECT {"user":"x"}\r\n']) {
        const stranger = await RawClient.connect(broker.port, said);
        expect(await stranger.untilClosed(), said).toBe("-ERR 'Authorization Violation'\r\n");
      }
      const greeting = 'CONNECT {"verbose":false,"auth_token":"secret"}\r\n';
      const known = await RawClient.connect(broker.port, greeting);
      expect(await known.converse('')).toBe('');
      known.destroy();
    });
  });

  test('more clients than allowed are turned away, those inside stay', async () => {
    await withBroker({ maxConnections: 2 }, async (broker) => {
      const inside = [await RawClient.connect(broker.port), await RawClient.connect(broker.port)];
      const outside = await RawClient.connect(broker.port, '');
      expect(await outside.untilClosed()).toBe("-ERR 'maximum connections exceeded'\r\n");
      for (const client of inside) expect(await client.converse('')).toBe('');
      inside[0].destroy();
      await expect.poll(() => broker.stats()).toMatchObject({ connections: 1 });
      const next = await RawClient.connect(broker.port);
      expect(await next.converse('')).toBe('');
      next.destroy();
      inside[1].destroy();
    });
  });

  test('more subscriptions than allowed are refused', async () => {
    await withBroker({ maxSubscriptions: 2 }, async (broker) => {
      const client = await RawClient.connect(broker.port);
      expect(await client.converse('SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n')).toBe(
        "-ERR 'maximum subscriptions exceeded'\r\n",
      );
      client.destroy();
    });
  });

  test('subscriptions are bounded in tokens and memory, and others can subscribe', async () => {
    const deep = Array(5).fill('a').join('.');
    const options = { maxSubscriptionTokens: 4, maxSubscriptionBytes: 512 * KIB };
    await withBroker(options, async (broker) => {
      const client = await RawClient.connect(broker.port);
      expect(await client.converse(`SUB ${deep} 1\r\nSUB a.b.c.d 2\r\n`)).toBe(
        `-ERR 'Permissions Violation for Subscription to "${deep}", too many tokens'\r\n`,
      );
      let lines = '';
      for (let i = 0; i < 1000; i++) lines += `SUB a.${i} ${i}\r\n`;
      const answer = await client.converse(lines);
      expect(answer).toMatch(/^(-ERR 'maximum subscriptions exceeded, no memory for more'\r\n)+$/);
      const other = await RawClient.connect(broker.port);
      expect(await other.converse('SUB a 1\r\nPUB a 1\r\nx\r\n')).toBe('MSG a 1 1\r\nx\r\n');
      client.destroy();
      other.destroy();
    });
  });

  test('the payload limit can be raised to a megabyte and more', async () => {
    const limit = 2 * KIB * KIB;
    await withBroker({ maxPayloadBytes: limit }, async (broker) => {
      const client = await RawClient.connect(broker.port);
      expect(client.info).toMatchObject({ max_payload: limit });
      await client.converse('SUB big 1\r\n');
      const payload = 'abcdefgh'.repeat(limit / 8);
      const answer = await client.converse(`PUB big ${limit}\r\n${payload}\r\n`.repeat(3));
      expect(answer === `MSG big 1 ${limit}\r\n${payload}\r\n`.repeat(3)).toBe(true);
      client.say(`PUB big ${limit + 1}\r\n`);
      expect(await client.untilClosed()).toBe("-ERR 'Maximum Payload Violation'\r\n");
    });
  });

  test('subscribers that vanish while they are sent messages disturb nobody', async () => {
    await withBroker({}, async (broker) => {
      const publisher = await RawClient.connect(broker.port);
      const faithful = await RawClient.connect(broker.port);
      await faithful.converse('SUB flood 1\r\n');
      const all = faithful.takeThrough('\n-1 ');
      let count = 0;
      for (let round = 0; round < 20; round++) {
        const fickle = await Promise.all([1, 2, 3].map(() => RawClient.connect(broker.port)));
        await Promise.all(fickle.map((client) => client.converse('SUB flood 1\r\n')));
        let text = '';
        for (let i = 0; i < 500; i++) text += message('flood', count++);
        const flushed = publisher.converse(text);
        for (const client of fickle) client.socket.resetAndDestroy();
        await flushed;
      }
      await publisher.converse('PUB flood 4\r\n\n-1 \r\n');
      expect(numbersIn(await all)).toEqual(Array.from({ length: count }, (_, i) => i));
      publisher.destroy();
      faithful.destroy();
    });
  });

  test('clients that vanish in the middle of a message leave nothing behind', async () => {
    await withBroker({}, async (broker) => {
      for (let i = 0; i < 50; i++) {
        const client = await RawClient.connect(broker.port);
        await client.converse(`SUB a.${i} 1\r\nSUB a.> q 2\r\n`);
        client.say(`PUB a.${i} 60000\r\n${'y'.repeat(i * 1000)}`);
        if (i % 2 === 0) client.socket.resetAndDestroy();
        else client.socket.end();
      }
      await expect.poll(() => broker.stats()).toMatchObject({ connections: 0, subscriptions: 0 });
    });
  });

  test('garbage of every kind leaves nothing behind and disturbs nobody', async () => {
    const seed = Number(process.env.BUSBAR_SEED ?? 11);
    const random = new Random(seed);
    await withBroker({ lingerMs: 100 }, async (broker) => {
      const witness = await RawClient.connect(broker.port);
      await witness.converse('SUB news 1\r\n');
      const sane =
        'CONNECT {"verbose":false,"headers":true}\r\nSUB a.> 1\r\nSUB b q 2\r\n' +
        'PUB a.b 5\r\nhello\r\nHPUB b r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nUNSUB 1 3\r\nPING\r\n';
      for (let i = 0; i < 200; i++) {
        const bytes = Buffer.from(sane.repeat(random.between(1, 4)), 'latin1');
        for (let flips = random.between(1, 5); flips > 0; flips--) {
          bytes[random.below(bytes.length)] = random.below(256);
        }
        const client = await RawClient.connect(broker.port, '');
        for (let at = 0; at < bytes.length; ) {
          const end = at + random.between(1, bytes.length);
          client.say(bytes.toString('latin1', at, end));
          at = end;
        }
        client.socket.end();
        await client.closed;
        const news = await witness.converse('PUB news 2\r\nok\r\n');
        expect(news, `seed ${seed}, client ${i}`).toBe('MSG news 1 2\r\nok\r\n');
      }
      witness.destroy();
    });
  });
});
