// SPDX-License-Identifier: MIT
/** End to end: the signals that operators send to nats-server. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { buildPrograms, killPrograms, Program } from '../program.ts';
import { RawClient } from './raw-client.ts';

afterAll(killPrograms);

const isWindows = process.platform === 'win32';

async function start(...args: string[]): Promise<{ broker: Program; port: number }> {
  buildPrograms();
  const all = ['--port', '0', '--seconds', '0', ...args];
  const broker = new Program('build/broker/main.js', all);
  const [, port] = await broker.line(/^Listening on 127\.0\.0\.1:(\d+)/);
  await broker.line(/^Serving /);
  return { broker, port: Number(port) };
}

test.skipIf(isWindows)(
  'SIGUSR1 and SIGHUP end nothing, SIGUSR2 stops at once without clients',
  async () => {
    const { broker } = await start('--executors', '1');
    broker.process.kill('SIGUSR1');
    await broker.line(/^SIGUSR1: there is no log file/);
    broker.process.kill('SIGHUP');
    await broker.line(/^SIGHUP: there is no configuration file/);
    expect(await broker.stop('SIGUSR2')).toBe(0);
    expect(broker.lines.join('\n')).not.toContain('Debugger');
  },
  60_000,
);

test.skipIf(isWindows)(
  'more clients than the pool has buffers are all told, and a second SIGUSR2 changes nothing',
  async () => {
    const args = ['--executors', '1', '--pool', '16m', '--lame-duck-grace', '600000'];
    const { broker, port } = await start(...args);
    const clients: RawClient[] = [];
    for (let i = 0; i < 300; i++) {
      const client = await RawClient.connect(port);
      await client.converse('SUB a 1\r\n');
      clients.push(client);
    }
    broker.process.kill('SIGUSR2');
    for (const client of clients) expect(await client.takeThrough('\r\n')).toContain('"ldm":true');
    broker.process.kill('SIGUSR2');
    expect(await clients[0]?.converse('PUB a 1\r\nx\r\n')).toContain('MSG a 1 1');
    expect(await broker.stop('SIGTERM')).toBe(0);
  },
  60_000,
);

describe.skipIf(isWindows).each(['1', '2'])('SIGUSR2, with %s executors', (executors) => {
  test('clients are told, and served for a grace period; a second signal ends it', async () => {
    const { broker, port } = await start('--executors', executors, '--lame-duck-grace', '600000');
    const clients = await Promise.all([1, 2, 3, 4].map(() => RawClient.connect(port)));
    for (const client of clients) await client.converse('SUB a 1\r\n');
    broker.process.kill('SIGUSR2');
    for (const client of clients) {
      const info = await client.takeThrough('\r\n');
      expect(JSON.parse(info.slice('INFO '.length))).toMatchObject({ ldm: true });
    }
    // They are served as before, also across executors.
    for (const client of clients) {
      await client.converse('PUB a 1\r\nx\r\n');
      for (const each of clients) {
        if (each !== client) expect(await each.converse('')).toBe('MSG a 1 1\r\nx\r\n');
      }
    }
    // Nobody else is.
    const late = connect(port, '127.0.0.1');
    const [error] = await once(late, 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    expect(await broker.stop('SIGTERM')).toBe(0);
    await Promise.all(clients.map((client) => client.closed));
  }, 60_000);

  test('then they are closed, and it ends by itself', async () => {
    const times = ['--lame-duck-grace', '1', '--lame-duck-duration', '50'];
    const { broker, port } = await start('--executors', executors, ...times);
    const clients = await Promise.all([1, 2, 3, 4].map(() => RawClient.connect(port)));
    broker.process.kill('SIGUSR2');
    for (const client of clients) expect(await client.untilClosed()).toMatch(/^INFO .*"ldm":true/);
    expect(await broker.ended).toBe(0);
  }, 60_000);
});
