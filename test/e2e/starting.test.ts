// SPDX-License-Identifier: MIT
/**
 * End to end: clients that connect while a broker starts, and other programs that want its port.
 */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { buildPrograms, killPrograms, Program } from '../program.ts';

const PROGRAM = 'build/broker/main.js';

afterAll(killPrograms);

/** One that nobody listens on now. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** What a client that connects now sees: it is refused, or served, or something else. */
function knock(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let isConnected = false;
    let heard = '';
    socket.on('connect', () => {
      isConnected = true;
      socket.write('CONNECT {"verbose":false}\r\nPING\r\n');
    });
    socket.on('error', ({ message }) => {
      resolve(!isConnected && message.includes('ECONNREFUSED') ? 'refused' : message);
    });
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (!heard.startsWith('INFO ') || !heard.endsWith('PONG\r\n')) return;
      resolve('served');
      socket.destroy();
    });
    socket.on('close', () => resolve(`closed after ${JSON.stringify(heard)}`));
  });
}

test.each([
  ['1', {}],
  ['2', {}],
  ['2', { BUSBAR_NATIVE: 'off' }],
])(
  'who connects while %s executors start is refused or served (%o)',
  async (executors, env) => {
    buildPrograms();
    const port = await freePort();
    const args = ['--port', String(port), '--seconds', '0', '--executors', executors];
    const broker = new Program(PROGRAM, args, env);
    const outcomes: Set<string> = new Set();
    let hasEnded = false;
    broker.ended.then(() => {
      hasEnded = true;
    });
    for (let served = 0; served < 100 && !hasEnded; ) {
      const outcome = await knock(port);
      outcomes.add(outcome);
      if (outcome === 'served') served++;
    }
    expect([...outcomes].sort(), broker.lines.join('\n')).toEqual(['refused', 'served']);
    expect(await broker.stop()).toBe(0);
  },
  60_000,
);

test('a port that another program takes while executors start is named, no trace', async () => {
  buildPrograms();
  for (const executors of ['1', '2']) {
    const port = await freePort();
    const args = ['--port', String(port), '--seconds', '0', '--executors', executors];
    const broker = new Program(PROGRAM, args);
    await once(broker.process, 'spawn');
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    expect(await broker.ended).toBe(1);
    expect(broker.lines).toEqual([
      `Port ${port} is taken: another server listens there, perhaps another broker.`,
      `Choose another: npm start -- --port ${port + 1}`,
    ]);
    other.close();
  }
});

test('a broker on all addresses and one on a single one do not share a port', async () => {
  buildPrograms();
  const port = await freePort();
  const args = ['--port', String(port), '--seconds', '0', '--executors', '2', '--host'];
  const first = new Program(PROGRAM, [...args, '0.0.0.0']);
  const second = new Program(PROGRAM, [...args, '127.0.0.1']);
  const codes = await Promise.race([
    first.ended.then((code) => [code, second] as const),
    second.ended.then((code) => [code, first] as const),
  ]);
  expect(codes[0]).toBe(1);
  await codes[1].line(/^Listening on /);
  expect(await codes[1].stop()).toBe(0);
});
