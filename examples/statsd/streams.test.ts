// SPDX-License-Identifier: MIT
/** Example statsd, tests: lines over TCP and Unix sockets, from clients to the report. */

import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UdpLink } from 'busbar/link';
import { native } from 'busbar/native';
import { BufferPool } from 'busbar/pool';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPrograms, killPrograms, Program } from '../../test/program.ts';
import { Gatherer } from './gatherer.ts';
import type { Report } from './report.ts';

const FOLDER: string = mkdtempSync(join(tmpdir(), 'busbar-statsd-'));
const LONG = `long:${'1'.repeat(70_000)}|c\n`;

beforeAll(buildPrograms);
afterAll(() => {
  killPrograms();
  rmSync(FOLDER, { recursive: true, force: true });
});

interface Started {
  readonly collector: Program;
  readonly tcpPort: number;
  readonly path: string;
}

async function start(name: string, environment: object = {}): Promise<Started> {
  const path = join(FOLDER, name);
  const args = ['--port', '0', '--tcp', '0', '--unix', path, '--format', 'json'];
  const all = [...args, '--interval', '3600', '--executors', '2'];
  const collector = new Program('build/examples/statsd/main.js', all, environment);
  const [, port] = await collector.line(/^Lines over TCP: 127\.0\.0\.1:(\d+)\.$/);
  await collector.line(/^Lines over a Unix socket: /);
  return { collector, tcpPort: Number(port), path };
}

/** Sends the pieces, then the end, and waits until the collector has read all of them. */
async function say(socket: Socket, pieces: readonly string[]): Promise<void> {
  const closed = once(socket, 'close');
  socket.resume();
  for (const piece of pieces) {
    await new Promise<void>((resolve, reject) => {
      socket.write(piece, (error) => (error ? reject(error) : resolve()));
    });
  }
  socket.end();
  await closed;
}

test.each([
  ['with the shim', {}],
  ['without it', { BUSBAR_NATIVE: 'off' }],
])(
  'lines come over TCP and Unix sockets, and one bad line ends no stream, %s',
  async (name, env) => {
    const { collector, tcpPort, path } = await start(name.replace(' ', '-'), env);
    const text = `a:1|c\r\nb:2|g\nnonsense\n${LONG}c:7|ms|@0.5|#x:y\na:2|c\n\nlast:5|c`;
    await say(connect(tcpPort, '127.0.0.1'), [text]);
    await say(connect(tcpPort, '127.0.0.1'), [...'a:10|c\na:20|c\n']);
    await say(connect(path), [`a:100|c\nx|\n${LONG}`, `${LONG}y\n`]);
    await collector.line(/^127\.0\.0\.1:\d+: 1 malformed lines, 1 too long$/);
    await collector.line(/^a Unix socket: 2 malformed lines, 2 too long$/);
    expect(await collector.stop()).toBe(0);
    const report = JSON.parse(collector.output[0] as string) as Report;
    const counters = Object.fromEntries(report.counters.map(({ name, value }) => [name, value]));
    expect(counters).toEqual({ a: 133, last: 5 });
    expect(report.gauges).toMatchObject([{ name: 'b', value: 2 }]);
    expect(report.timers).toMatchObject([{ name: 'c', count: 2, sum: 14, tags: ['x:y'] }]);
    expect(report.collector).toMatchObject({
      ...{ lines: 11, malformed: 3, tooLong: 3, streams: 3, failedStreams: 0, datagrams: 0 },
    });
    expect(existsSync(path)).toBe(false);
  },
);

test('what streams have sent is reported, though they are still open', async () => {
  const { collector, tcpPort } = await start('open');
  const socket = connect(tcpPort, '127.0.0.1');
  const closed = once(socket, 'close');
  socket.on('error', () => {});
  await new Promise((resolve) => socket.write('a:1|c\nbegun:1', resolve));
  expect(await collector.stop()).toBe(0);
  await closed;
  const report = JSON.parse(collector.output[0] as string) as Report;
  expect(report.counters).toMatchObject([{ name: 'a', value: 1 }]);
});

test('a place that is taken is named; a socket that was left there is removed', async () => {
  const path = join(FOLDER, 'taken');
  const other = createServer();
  other.listen(path);
  await once(other, 'listening');
  const args = (place: string): string[] => ['--port', '0', '--unix', place];
  const second = new Program('build/examples/statsd/main.js', args(path));
  expect(await second.ended).toBe(1);
  expect(second.lines.join('\n')).toContain(`${path} is taken`);
  other.close();
  const file = join(FOLDER, 'file');
  writeFileSync(file, 'of somebody');
  const third = new Program('build/examples/statsd/main.js', args(file));
  expect(await third.ended).toBe(1);
  expect(third.lines.join('\n')).toContain(`${file} exists and is not a socket`);

  const left = join(FOLDER, 'left');
  const victim = new Program('build/examples/statsd/main.js', args(left));
  await victim.line(/^Lines over a Unix socket/);
  await victim.stop('SIGKILL');
  expect(existsSync(left)).toBe(true);
  const next = new Program('build/examples/statsd/main.js', args(left));
  await next.line(/^Lines over a Unix socket/);
  expect(await next.stop()).toBe(0);
});

const shimTest = test.skipIf(!native.features.udp.available);

shimTest('datagrams over a Unix socket are gathered, and their file comes and goes', async () => {
  const path = join(FOLDER, 'datagrams');
  const args = ['--port', '0', '--unix-socket', path, '--format', 'json', '--interval', '3600'];
  const collector = new Program('build/examples/statsd/main.js', args);
  await collector.line(/^Datagrams over a Unix socket: /);
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 16 });
  const link = await UdpLink.open(pool, { peer: { path } });
  for (let n = 0; n < 1000; n++) await link.write('a:1|c\nb:2|c');
  await link.close();
  const second = new Program('build/examples/statsd/main.js', args);
  expect(await second.ended).toBe(1);
  expect(second.lines.join('\n')).toMatch(/datagrams, .*EADDRINUSE/);
  expect(await collector.stop()).toBe(0);
  const report = JSON.parse(collector.output[0] as string) as Report;
  expect(report.counters).toMatchObject([
    { name: 'a', value: 1000 },
    { name: 'b', value: 2000 },
  ]);
  expect(report.collector).toMatchObject({ datagrams: 1000, dropped: 0 });
  expect(existsSync(path)).toBe(false);
  const without = new Program('build/examples/statsd/main.js', args, { BUSBAR_NATIVE: 'off' });
  expect(await without.ended).toBe(1);
  expect(without.lines.join('\n')).toContain('BUSBAR_NATIVE=off');
});

test('a line of a stream is read as one of a datagram', () => {
  const gatherer = new Gatherer(10, 1, () => 0);
  for (const line of ['a:1|c', 'a:1|c\r', '', '\r', '_e{1,1}:a|b']) {
    const bytes = Buffer.from(line);
    expect(gatherer.takeLine(bytes, 0, bytes.length), JSON.stringify(line)).toBe(true);
  }
  const bytes = Buffer.from('a:1\rx|c');
  expect(gatherer.takeLine(bytes, 0, bytes.length)).toBe(false);
  expect(gatherer.next().tally).toMatchObject({ lines: 4, malformed: 1, ignored: 1, datagrams: 0 });
});
