// SPDX-License-Identifier: MIT
/** Programs of a first day with busbar: short, right, bounded, and leaving nothing behind. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listFiles, ROOT } from '../../scripts/files.mjs';
import { countWords } from './channel.ts';
import { diagnose } from './diagnosis.ts';
import { startHttp } from './http.ts';
import { logLines } from './log.ts';
import { startMetrics } from './metrics.ts';
import { startPipeline } from './pipeline.ts';
import { startRelay } from './relay.ts';
import { startRpc } from './rpc.ts';

const BUILT = new URL('../../build/test/first-day/', import.meta.url);
const NOTHING = { heldByThreads: 0, inTransit: 0 };

/** Collects what arrives until the text satisfies `enough`. */
async function until(socket: Socket, enough: (text: string) => boolean): Promise<string> {
  let text = '';
  for await (const data of socket.iterator({ destroyOnReturn: false })) {
    text += data;
    if (enough(text)) break;
  }
  return text;
}

test('each program has at most 40 lines, besides licence and title', () => {
  const long = listFiles()
    .filter((path) => /^test\/first-day\/(?!.*\.test\.ts)/.test(path))
    .map((path) => [path, readFileSync(ROOT + path, 'utf8').split('\n').length - 3] as const)
    .filter(([, lines]) => lines > 40);
  expect(long).toEqual([]);
});

test('a relay of JSON lines: all get all; a client that stands still stops no other', async () => {
  const { pool, server, missed } = await startRelay();
  const clients = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const socket = connect(server.port);
      await once(socket, 'connect');
      return socket;
    }),
  );
  while (server.links.size < clients.length) await new Promise(setImmediate);
  const [speaker, still, ...readers] = clients as [Socket, Socket, ...Socket[]];
  still.pause();
  const lines = Array.from({ length: 200 }, (_, i) => JSON.stringify({ i, text: 'grüße' }));
  const got = readers.map((socket) => until(socket, (text) => text.includes('"i":199')));
  for (const line of lines) {
    speaker.write(`${line}\n`);
    await new Promise(setImmediate);
  }
  for (const text of await Promise.all(got)) expect(text).toBe(`${lines.join('\n')}\n`);
  expect(missed()).toBeGreaterThanOrEqual(0);
  for (const client of clients) client.destroy();
  await server.close();
  expect(pool.close()).toMatchObject(NOTHING);
});

test('requests over executors: replies in order for each link', async () => {
  const module = new URL('rpc.worker.js', BUILT);
  const { pool, group, server } = await startRpc(module);
  const words = Array.from({ length: 500 }, (_, i) => `word-${i}-`.padEnd(12, 'x'));
  const requests = Buffer.concat(words.map((word) => Buffer.from(`\0\0\0\x0c${word}`)));
  const replies = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const socket = connect(server.port).setEncoding('latin1');
      socket.write(requests);
      const text = await until(socket, ({ length }) => length === requests.length);
      socket.destroy();
      return text;
    }),
  );
  for (const text of replies) expect(text).toBe(requests.toString('latin1').toUpperCase());
  await server.close();
  await group.stop();
  expect(pool.close()).toMatchObject(NOTHING);
});

test('metrics to two collectors: the books balance', async () => {
  const collectors = [createSocket('udp4'), createSocket('udp4')];
  const counts = [0, 0];
  for (const [i, socket] of collectors.entries()) {
    socket.on('message', () => counts[i]++);
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
  }
  const { pool, link, missed } = await startMetrics(collectors.map((s) => s.address().port));
  const source = createSocket('udp4');
  for (let i = 0; i < 500; i++) {
    source.send(`requests:${i}|c`, link.local.port, '127.0.0.1');
    // The collectors' sockets are not to overflow: that is not in the relay's books.
    for (let n = 0; n < 2000 && counts[0] < i - 20; n++) await new Promise(setImmediate);
  }
  const isDone = (): boolean =>
    counts[0] + counts[1] + missed() >= 2 * (500 - link.stats().dropped);
  for (let i = 0; i < 20_000 && !isDone(); i++) await new Promise(setImmediate);
  expect(counts[0] + counts[1] + missed()).toBe(2 * (500 - link.stats().dropped));
  await link.close();
  for (const socket of [source, ...collectors]) socket.close();
  expect(pool.close()).toMatchObject(NOTHING);
});

test('HTTP: pipelined requests with bodies are answered in order', async () => {
  const { pool, server } = await startHttp(async (request) => {
    await new Promise(setImmediate);
    return `${request.split(' ')[1]} ${request.split('\r\n\r\n')[1]}`;
  });
  const socket = connect(server.port).setEncoding('latin1');
  for (let i = 0; i < 20; i++) {
    socket.write(`POST /${i} HTTP/1.1\r\nContent-Length: 5\r\n\r\nbody${i % 10}`);
  }
  const text = await until(socket, (all) => all.includes('/19 body9'));
  expect([...text.matchAll(/\/(\d+) body/g)].map(([, i]) => Number(i))).toEqual(
    Array.from({ length: 20 }, (_, i) => i),
  );
  socket.destroy();
  await server.close();
  expect(pool.close()).toMatchObject(NOTHING);
});

test('a log of three threads in bounded files: every line, whole and in order', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'busbar-log-'));
  const program = new URL('log.worker.js', BUILT);
  const options = { program, linesEach: 10_000, fileBytesMax: 200_000 };
  const pool = await logLines(`${folder}/log`, options);
  const names = readdirSync(folder).sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)));
  const texts = names.map((name) => readFileSync(`${folder}/${name}`, 'utf8'));
  expect(texts.length).toBeGreaterThan(2);
  for (const text of texts) {
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(options.fileBytesMax);
    expect(text.endsWith('\n')).toBe(true);
  }
  const lines = texts.join('').split('\n');
  for (const name of ['red', 'green', 'blue']) {
    const got = lines.filter((line) => line.startsWith(name));
    expect(got).toEqual(Array.from({ length: 10_000 }, (_, i) => `${name} ${i} grüße`));
  }
  expect(lines.length).toBe(30_001);
  expect(pool.close()).toMatchObject(NOTHING);
  rmSync(folder, { recursive: true });
});

test('a pipeline goes on after a line has crashed its parser, and says so', async () => {
  const module = new URL('pipeline.worker.js', BUILT);
  const { pool, parsers, sums, lost, send } = await startPipeline(module);
  for (let i = 0; i < 300; i++) {
    await send(i === 100 ? 'no such line' : JSON.stringify({ name: `n${i % 3}`, value: i }));
  }
  const report = await parsers.stop();
  const sum = (rest: number): number =>
    Array.from({ length: 300 }, (_, i) => (i % 3 === rest && i !== 100 ? i : 0)).reduce(
      (a, b) => a + b,
    );
  expect([0, 1, 2].map((i) => sums.get(`n${i}`))).toEqual([0, 1, 2].map(sum));
  expect(lost).toEqual([expect.stringContaining('JSON')]);
  expect([report.dropped, report.terminated]).toEqual([0, []]);
  expect(pool.close()).toMatchObject(NOTHING);
});

test('a channel to a worker carries more than the pool holds, and ends', async () => {
  const texts = Array.from({ length: 20_000 }, (_, i) => `text ${i}, `.padEnd(64, 'x y '));
  const { pool, words } = await countWords(new URL('channel.worker.js', BUILT), texts);
  expect(words).toBe(texts.reduce((sum, text) => sum + text.split(' ').length, 0));
  expect(pool.close()).toMatchObject(NOTHING);
});

test('what goes wrong is told: released twice, none free, not ended, never released', async () => {
  const { released, exhausted, stopped, closed } = await diagnose();
  const place = /diagnosis\.(ts|js)/;
  expect(released).toMatchObject({ code: 'ERR_BUSBAR_PACKET_RELEASED' });
  expect(`${released}`).toMatch(place);
  expect(exhausted).toMatchObject({ code: 'ERR_BUSBAR_TIMEOUT' });
  expect(stopped).toMatchObject({ terminated: [0] });
  expect(closed.heldByThreads).toBe(1);
  expect(closed.leaks.length).toBeGreaterThan(0);
  expect(JSON.stringify(closed.leaks)).toMatch(place);
});
