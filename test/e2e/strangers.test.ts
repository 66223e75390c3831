// SPDX-License-Identifier: MIT
/**
 * End to end: two programs that do not use busbar exchange messages through a broker in a third
 * process.
 */

import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPrograms, killPrograms, Program } from '../program.ts';

beforeAll(buildPrograms);
afterAll(killPrograms);

function broker(...args: string[]): Program {
  return new Program('build/broker/main.js', args);
}

async function portOf(program: Program): Promise<string> {
  const [, port] = await program.line(/^Listening on 127\.0\.0\.1:(\d+)/);
  return port;
}

/** Two programs that know only the protocol exchange messages, and get each in order. */
async function expectExchange(servers: string): Promise<void> {
  const answering = new Program('test/e2e/stranger-answers.mjs', [servers]);
  await answering.line(/^ready$/);
  const asking = new Program('test/e2e/stranger-asks.mjs', [servers, '2000']);
  expect(await asking.ended).toBe(0);
  expect(await answering.ended).toBe(0);
  expect(asking.lines).toEqual(['2000 letters in order', '2000 answers, 0 wrong']);
}

test.each(['1', '2'])('two strangers exchange messages, executors: %s', async (executors) => {
  const bus = broker('--port', '0', '--seconds', '0', '--executors', executors);
  const servers = `127.0.0.1:${await portOf(bus)}`;
  await expectExchange(servers);
  bus.process.kill('SIGTERM');
  expect(await bus.ended).toBe(0);
});

/** The real server, as a check on the strangers: they must mean the same to both. */
const hasNatsServer = spawnSync('nats-server', ['--version']).status === 0;
if (hasNatsServer || process.env.BUSBAR_TEST_NATS_SERVER === 'required') {
  test('the same two strangers get the same from nats-server', async () => {
    const server = new Program('nats-server', ['-a', '127.0.0.1', '-p', '-1']);
    const [, port] = await server.line(/client connections on 127\.0\.0\.1:(\d+)/);
    await server.line(/Server is ready/);
    const servers = `127.0.0.1:${port}`;
    await expectExchange(servers);
  });
}

test('npm start: the load runs, nothing is lost, and the broker serves on', async () => {
  const bus = broker('--port', '0', '--seconds', '1', '--executors', '2');
  const servers = `127.0.0.1:${await portOf(bus)}`;
  await bus.line(/^2 executors, /);
  await bus.line(/published, [\d,]+ delivered, 0 missing, 0 wrong/);
  await bus.line(/^Serving nats:\/\/127\.0\.0\.1:\d+ until Ctrl-C/);
  const answering = new Program('test/e2e/stranger-answers.mjs', [servers]);
  await answering.line(/^ready$/);
  const asking = new Program('test/e2e/stranger-asks.mjs', [servers, '10']);
  expect(await asking.ended).toBe(0);
  bus.process.kill('SIGINT');
  expect(await bus.ended).toBe(0);
});

test.each(['1', '2'])('a port that is taken, executors: %s: exit code 1', async (executors) => {
  const first = broker('--port', '0', '--seconds', '0', '--executors', executors);
  const port = await portOf(first);
  // Also where both would share it with others.
  const second = broker('--port', port, '--seconds', '0', '--executors', executors);
  expect(await second.ended).toBe(1);
  expect(second.lines.join('\n')).toContain(`Port ${port} is taken`);
  first.process.kill('SIGTERM');
  expect(await first.ended).toBe(0);
});

test('--help explains, and a wrong option says what is wrong', async () => {
  const help = broker('--help');
  expect(await help.ended).toBe(0);
  const options = ['--port', '--seconds', '--executors', '--max-payload', '--user', '--token'];
  for (const option of options) {
    expect(help.lines.join('\n')).toContain(option);
  }
  for (const [args, complaint] of [
    [['--prot', '1'], '--prot'],
    [['--port', 'x'], '--port must be a number'],
    [['--executors', '0'], '--executors must be from 1'],
    [['--port', '70000'], 'port must be an integer'],
    [['--user', 'joe'], 'user and pass must be given together'],
  ] as const) {
    const wrong = broker(...args);
    expect(await wrong.ended).not.toBe(0);
    expect(wrong.lines.join('\n')).toContain(complaint);
  }
});
