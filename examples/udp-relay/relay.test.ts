// SPDX-License-Identifier: MIT
/** Example udp-relay: relays, and processes that talk to them. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BufferPool } from '../../src/pool/index.ts';
import { buildPrograms, killPrograms, Program } from '../../test/program.ts';
import { until } from '../../test/turns.ts';
import type { LossCounts } from './loss-counter.ts';
import { Relay, type RelayStats } from './relay.ts';
import { Source } from './source.ts';
import { Subscriber } from './subscriber.ts';

beforeAll(buildPrograms);
afterAll(killPrograms);

/** What load.main.ts prints. */
interface LoadReport {
  readonly sent: readonly number[];
  readonly wrong: number;
  readonly subscribers: readonly {
    readonly datagrams: number;
    readonly dropped: number;
    readonly sources: readonly LossCounts[];
  }[];
}

const MESSAGES = 10_000;

test.each([
  ['with the shim, if it is there', {}],
  ['without', { BUSBAR_NATIVE: 'off' }],
])(
  '4 sources × 10 000 messages to 3 subscribers: all accounted for, %s',
  async (_, environment) => {
    const args = ['--port', '0', '--interval', '0', '--format', 'json', '--lease', '3600000'];
    const program = new Program('build/examples/udp-relay/main.js', args, environment);
    const [, port] = await program.line(/^Relay at 127\.0\.0\.1:(\d+), (\w+)$/);
    const load = new Program(
      'build/examples/udp-relay/load.main.js',
      ['--port', port, '--messages', String(MESSAGES)],
      environment,
    );
    expect(await load.ended, load.lines.join('\n')).toBe(0);
    expect(await program.stop()).toBe(0);
    const report = JSON.parse(load.output.at(-1) ?? '') as LoadReport;
    const relay = JSON.parse(program.output.at(-1) ?? '') as RelayStats;

    expect(report.sent).toEqual([MESSAGES, MESSAGES, MESSAGES, MESSAGES]);
    expect(report.wrong).toBe(0);
    // On the way to the relay.
    const sent = 4 * MESSAGES;
    expect(relay).toMatchObject({ duplicates: 0, late: 0, malformed: 0, failed: 0, uncounted: 0 });
    expect(relay.received + relay.lost).toBe(sent);
    // In the relay.
    expect(relay.forwarded + relay.refused).toBe(3 * (relay.received + relay.counts));
    // Behind it: every message has come, or is known to be lost.
    let datagrams = 0;
    let dropped = 0;
    for (const subscriber of report.subscribers) {
      for (const counts of subscriber.sources) {
        expect(counts).toMatchObject({ duplicates: 0, late: 0 });
        expect(counts.received + counts.lost).toBe(MESSAGES);
      }
      datagrams += subscriber.datagrams - 1; // the answer to its subscription, renewals aside
      dropped += subscriber.dropped;
    }
    // Not more, renewals aside; less where what the kernel had put together was dropped as one.
    expect(datagrams + dropped).toBeLessThanOrEqual(relay.forwarded + 3 * 20);
    const received = report.subscribers.flatMap(({ sources }) =>
      sources.map((each) => each.received),
    );
    expect(received.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(0);
  },
);

/** A relay here, with a clock that stands still. */
async function withRelay(
  subscribersMax: number,
  play: (relay: Relay, pool: BufferPool, clock: { nowMs: number }) => Promise<void>,
): Promise<void> {
  const pool = BufferPool.create({ bufferSize: 65_536, bufferCount: 128 });
  const clock = { nowMs: 1000 };
  const relay = await Relay.open(pool, {
    ...{ host: '127.0.0.1', port: 0, leaseMsMax: 5000, subscribersMax, receiveBytes: 1 << 20 },
    clock: () => clock.nowMs,
  });
  await play(relay, pool, clock);
  await relay.close();
  expect(pool.stats().held).toBe(0);
  expect(pool.close()).toEqual({ heldByThreads: 0, inTransit: 0, leaks: 'off' });
}

test('a subscriber that vanishes is forgotten when its time is over, others are not', async () => {
  await withRelay(8, async (relay, pool, clock) => {
    const { host, port } = relay.link.local;
    const at = { host, port };
    let got = 0;
    const stays = await Subscriber.open(pool, at, 1 << 20, () => void got++);
    const goes = await Subscriber.open(pool, at, 1 << 20, () => {});
    expect(await stays.subscribe(60_000)).toBe(5000);
    expect(await goes.subscribe(2000)).toBe(2000);
    const source = await Source.open(pool, at);
    const say = async (): Promise<void> => {
      const expected = got + 1;
      expect(source.trySend(Buffer.from('hello'))).toBe(true);
      await until(() => got === expected);
    };
    await say();
    await goes.vanish();
    await say();
    clock.nowMs += 1999;
    relay.sweep();
    expect(relay.stats()).toMatchObject({ subscribers: 2, expired: 0, forwarded: 4 });
    clock.nowMs += 1;
    relay.sweep();
    expect(relay.stats()).toMatchObject({ subscribers: 1, expired: 1 });
    await say();
    expect(relay.stats()).toMatchObject({ forwarded: 5, received: 3, lost: 0 });
    // Asking again is what keeps a subscription.
    clock.nowMs += 2500;
    await stays.subscribe(60_000);
    clock.nowMs += 4000;
    relay.sweep();
    expect(relay.stats().subscribers).toBe(1);
    await stays.unsubscribe();
    expect(relay.stats()).toMatchObject({ subscribers: 0, expired: 1 });
    clock.nowMs += 5001;
    relay.sweep();
    expect(relay.stats()).toMatchObject({ sources: 0, received: 3 });
    await Promise.all([stays.vanish(), source.close()]);
  });
});

test('what a subscriber has no room for is lost to it alone, and known to be', async () => {
  await withRelay(2, async (relay, pool) => {
    const { host, port } = relay.link.local;
    const roomy = await Subscriber.open(pool, { host, port }, 1 << 22, () => {});
    const narrow = await Subscriber.open(pool, { host, port }, 8192, () => {});
    for (const each of [roomy, narrow]) await each.subscribe(5000);
    const source = await Source.open(pool, { host, port });
    const count = 400;
    while (source.sent < count) if (!source.trySend(Buffer.alloc(100))) source.link.flush();
    source.link.flush();
    await until(() => relay.stats().received + relay.stats().lost >= source.sent);
    // Again and again: this may be lost, too.
    while (![roomy, narrow].every(({ announced }) => announced.has(source.number))) {
      source.tryCount();
      await new Promise(setImmediate);
    }
    const [all, some] = [roomy, narrow].map((each) => each.counters.get(source.number));
    expect(relay.stats()).toMatchObject({ received: count, refused: 0, failed: 0 });
    expect(all).toMatchObject({ received: count, lost: 0 });
    expect(some?.lost).toBeGreaterThan(0);
    expect((some?.received ?? 0) + (some?.lost ?? 0)).toBe(count);
    if (narrow.link.implementation === 'native') {
      expect(narrow.link.stats().dropped).toBeGreaterThan(0);
    }
    await Promise.all([roomy.vanish(), narrow.vanish(), source.close()]);
  });
});

test('there is a bound on subscribers, and nonsense is counted', async () => {
  await withRelay(1, async (relay, pool) => {
    const { host, port } = relay.link.local;
    const first = await Subscriber.open(pool, { host, port }, 1 << 20, () => {});
    const second = await Subscriber.open(pool, { host, port }, 1 << 20, () => {});
    expect(await first.subscribe(1000)).toBe(1000);
    expect(await second.subscribe(1000)).toBe(0);
    await first.unsubscribe();
    expect(await second.subscribe(1000)).toBe(1000);
    const stranger = createSocket('udp4');
    for (const text of [
      '',
      'x',
      '\x01\0\0\0\0\0\0\0',
      '\x07\0\0\0\0\0\0\0',
      '\x03\0\0\x01\0\0\0\0',
    ]) {
      stranger.send(text, port, host);
    }
    await until(() => relay.stats().malformed === 5);
    stranger.close();
    await once(stranger, 'close');
    await Promise.all([first.vanish(), second.vanish()]);
  });
});

test('messages that are lost, doubled and out of order on their way are counted', async () => {
  await withRelay(1, async (relay) => {
    const { host, port } = relay.link.local;
    const socket = createSocket('udp4');
    for (const sequence of [0, 1, 3, 2, 3, 5, 9]) {
      const bytes = Buffer.alloc(12);
      bytes.writeUInt8(1);
      bytes.writeUInt32BE(0xfeedbeef, 4);
      bytes.writeUInt32BE(sequence, 8);
      socket.send(bytes, port, host);
    }
    await until(() => relay.stats().received === 7);
    expect(relay.stats()).toMatchObject({ sources: 1, lost: 4, duplicates: 1, reordered: 1 });
    socket.close();
  });
});

test('the program explains itself, and refuses what makes no sense', async () => {
  const help = new Program('build/examples/udp-relay/main.js', ['--help']);
  expect(await help.ended).toBe(0);
  expect(help.lines.join('\n')).toContain('Usage: npm run example:udp-relay');
  const wrong = new Program('build/examples/udp-relay/main.js', ['--lease', 'x']);
  expect(await wrong.ended).toBe(2);
  expect(wrong.lines.join('\n')).toContain('--lease must be an integer from 100 to 3600000');
});
