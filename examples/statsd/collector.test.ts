// SPDX-License-Identifier: MIT
/** Example statsd, tests: the program, and clients that send to it. */

import { createSocket, type Socket } from 'node:dgram';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { arbitrarySeed } from '../../src/base/random.ts';
import { native } from '../../src/native/index.ts';
import { buildPrograms, killPrograms, Program } from '../../test/program.ts';
import { turn } from '../../test/turns.ts';
import { Sums } from './client-deeds.ts';
import type { Metric, Report } from './report.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? arbitrarySeed());
const REPLAY = `replay: BUSBAR_SEED=${SEED} npx vitest run examples/statsd/collector.test.ts`;
const WITHOUT_SHIM = { BUSBAR_NATIVE: 'off' };

beforeAll(buildPrograms);
afterAll(killPrograms);

async function start(
  args: readonly string[] = [],
  environment: object = {},
): Promise<{ collector: Program; port: number }> {
  const all = ['--port', '0', '--format', 'json', '--interval', '3600', ...args];
  const collector = new Program('build/examples/statsd/main.js', all, environment);
  const [, port] = await collector.line(/^Listening on 127\.0\.0\.1:(\d+), statsd/);
  return { collector, port: Number(port) };
}

function reportsOf({ output }: Program): Report[] {
  return output.map((line) => JSON.parse(line) as Report);
}

/** By name and tags. */
function byKey<M extends Metric, Shown>(
  metrics: readonly M[],
  show: (metric: M) => Shown,
): Record<string, Shown> {
  return Object.fromEntries(
    metrics.map((each) => [[each.name, ...each.tags].join(' '), show(each)]),
  );
}

const CLIENTS = 6;
const DEEDS = 600;

test.each([
  ['on two executors', ['--executors', '2'], {}],
  ['without the shim', ['--executors', '2'], WITHOUT_SHIM],
])('what hot-shots sends is added up exactly, %s', async (_, args, environment) => {
  const { collector, port } = await start(args, environment);
  const client = new Program('build/examples/statsd/hot-shots.main.js', [
    ...[port, SEED, CLIENTS, DEEDS].map(String),
  ]);
  expect(await client.ended, client.lines.join('\n')).toBe(0);
  // All of it is in the sockets of the collector, which reads it before it ends.
  expect(await collector.stop()).toBe(0);
  const [report, ...others] = reportsOf(collector);
  expect(others).toEqual([]);
  const { counters, gauges, timers, sets } = new Sums(SEED, CLIENTS, DEEDS);
  expect(report.collector, REPLAY).toMatchObject({
    ...{ lines: CLIENTS * (DEEDS + 1), malformed: 0, ignored: CLIENTS, refused: 0, dropped: 0 },
  });
  expect(
    byKey(report.counters, ({ value }) => value),
    REPLAY,
  ).toEqual(counters);
  expect(
    byKey(report.gauges, ({ value }) => value),
    REPLAY,
  ).toEqual(gauges);
  expect(
    byKey(report.sets, ({ count }) => count),
    REPLAY,
  ).toEqual(sets);
  const shown = byKey(report.timers, ({ count, sum, min, max }) => ({ count, sum, min, max }));
  expect(shown, REPLAY).toEqual(timers);
});

/** 100 datagrams of the test below. */
const BEHIND_LINES = 2000;

test('no line is lost or counted twice between one flush and the next', async () => {
  const { collector, port } = await start(['--interval', '0.01', '--executors', '2']);
  const sockets = Array.from({ length: 8 }, () => createSocket('udp4'));
  let sent = 0;
  let seen = 0;
  let lines = 0;
  /** A collector that gets no time for a while drops nothing of what still fits its sockets. */
  const isBehind = (): boolean => {
    const { output } = collector;
    for (; seen < output.length; seen++)
      lines += (JSON.parse(output[seen]) as Report).collector.lines;
    return 2 * sent - lines > BEHIND_LINES;
  };
  while (collector.output.length < 10 || sent < 20_000) {
    await Promise.all(
      sockets.map((socket) => send(socket, port, 'beat:1|c\nbeat:2|ms\n'.repeat(10))),
    );
    sent += 10 * sockets.length;
    do
      await turn(); // for what the collector prints
    while (isBehind());
  }
  for (const socket of sockets) socket.close();
  expect(await collector.stop('SIGINT')).toBe(0);
  const reports = reportsOf(collector);
  const total = (count: (report: Report) => number): number =>
    reports.reduce((sum, report) => sum + count(report), 0);
  expect(total(({ collector: { dropped } }) => dropped)).toBe(0);
  expect(total(({ counters }) => counters[0]?.value ?? 0)).toBe(sent);
  expect(total(({ timers }) => timers[0]?.count ?? 0)).toBe(sent);
  expect(total(({ collector: { lines } }) => lines)).toBe(2 * sent);
});

function send(socket: Socket, port: number, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(text, port, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
  });
}

test('malformed lines are counted and do no harm', async () => {
  const { collector, port } = await start();
  const socket = createSocket('udp4');
  const noise = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 31) & 0xff));
  for (const text of ['', '\n\n', 'x', noise.toString('latin1'), 'ok:1|c']) {
    await send(socket, port, text);
  }
  socket.close();
  expect(await collector.stop()).toBe(0);
  const [report] = reportsOf(collector);
  expect(report.counters).toMatchObject([{ name: 'ok', value: 1 }]);
  expect(report.collector.malformed).toBe(report.collector.lines - 1);
  expect(report.collector.datagrams).toBe(5);
});

test('it prints its help, the reason of a failure, and why it has only one executor', async () => {
  const { collector, port } = await start(['--executors', '2'], WITHOUT_SHIM);
  await collector.line(/^One executor, because several cannot share the port: /);
  const second = new Program('build/examples/statsd/main.js', ['--port', String(port)]);
  expect(await second.ended).toBe(1);
  expect(second.lines.join('\n')).toContain(`Port ${port} is taken`);
  expect(await collector.stop()).toBe(0);

  const elsewhere = new Program('build/examples/statsd/main.js', ['--host', '1.2.3.256']);
  expect(await elsewhere.ended).toBe(1);
  expect(elsewhere.lines.join('\n')).toContain('host must be an IPv4 or IPv6 address');
  const wrong = new Program('build/examples/statsd/main.js', ['--format', 'xml']);
  expect(await wrong.ended).toBe(2);
  const help = new Program('build/examples/statsd/main.js', ['--help']);
  expect(await help.ended).toBe(0);
  expect(help.output.join('\n')).toContain('Usage: npm run example:statsd');
});

if (native.features.udp.available) {
  test('the exporter shows the links of each executor', async () => {
    const places = ['--tcp', '0', '--metrics', '0', '--metrics-token', 'secret'];
    const { collector, port } = await start(['--executors', '2', ...places]);
    const [, url] = await collector.line(/^Live figures, and \/metrics: (http:\S+)$/);
    const sockets = Array.from({ length: 32 }, () => createSocket('udp4'));
    for (const socket of sockets) await send(socket, port, 'a:1|c');
    for (const socket of sockets) socket.close();
    const scrape = async (): Promise<string> => {
      const place = new URL('/metrics?token=secret', url);
      return await (await fetch(place)).text();
    };
    /** Bytes that each has read. */
    const read = async (): Promise<number[]> => {
      const lines = (await scrape()).matchAll(
        /^busbar_link_io_bytes_total\{busbar_link_name="statsd-([01])\/udp",.*receive"\} (\d+)$/gm,
      );
      return [...lines].map(([, , bytes]) => Number(bytes));
    };
    await expect.poll(async () => (await read()).reduce((sum, each) => sum + each, 0)).toBe(160);
    expect(await read()).toEqual([expect.any(Number), expect.any(Number)]);
    expect(Math.min(...(await read()))).toBeGreaterThan(0); // but once in 2³¹ times
    expect(await scrape()).toContain('busbar_server_links{busbar_server_name="statsd-0/tcp"} 0\n');
    expect(await collector.stop()).toBe(0);
  });

  test('clients are spread over executors, each with a table of its own', async () => {
    const { collector, port } = await start(['--executors', '2', '--max-entries', '1']);
    const sockets = Array.from({ length: 32 }, () => createSocket('udp4'));
    for (const [i, socket] of sockets.entries()) await send(socket, port, `from.${i}:1|c`);
    for (const socket of sockets) socket.close();
    expect(await collector.stop()).toBe(0);
    const [report] = reportsOf(collector);
    // One metric fits each; that all clients came to one executor happens once in 2³¹ times.
    expect(report.counters.length).toBe(2);
    expect(report.collector).toMatchObject({ lines: 32, refused: 30 });
  });

  test('a second collector gets no share of a port that several executors have', async () => {
    const { collector, port } = await start(['--executors', '2']);
    const second = new Program('build/examples/statsd/main.js', ['--port', String(port)]);
    expect(await second.ended).toBe(1);
    expect(second.lines.join('\n')).toContain(`Port ${port} is taken`);
    expect(await collector.stop()).toBe(0);
  });
}

test('a reader that goes away ends the collector, with a code that says so', async () => {
  const { collector, port } = await start(['--interval', '0.01']);
  collector.process.stdout?.destroy();
  const socket = createSocket('udp4');
  await send(socket, port, 'x:1|c');
  socket.close();
  expect(await collector.ended).toBe(1);
});

test('a steady stream of known metrics causes no garbage collection', async () => {
  const program = new Program('node', ['--trace-gc', 'build/examples/statsd/steady.main.js']);
  expect(await program.ended).toBe(0);
  const begin = program.output.indexOf('begin');
  const end = program.output.indexOf('end');
  expect(begin).toBeGreaterThan(0);
  expect(program.output.slice(begin + 1, end)).toEqual([]);
  // The collector does report, so that an empty trace means something.
  expect(program.output.slice(0, begin).join('\n')).toMatch(/Scavenge|Mark-Compact/);
});
