// SPDX-License-Identifier: MIT
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { LengthPrefixCodec } from '../framer/index.ts';
import { BufferPool } from '../pool/index.ts';
import { LoopbackNetwork } from './loopback/loopback-network.ts';
import type { TcpHandler } from './tcp/tcp-link.ts';
import { TcpServer } from './tcp/tcp-server.ts';

const codec = () => new LengthPrefixCodec('u32');
const FRAMES = Buffer.from('\0\0\0\x03one\0\0\0\x03two');

/** The next exception that nothing catches. */
function nextUncaught(): Promise<unknown> {
  return new Promise((resolve) => {
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => {
      for (const other of others) process.on('uncaughtException', other);
      resolve(error);
    });
  });
}

/** What the link of a server closes with when its handler gets two frames. */
async function closedWith(handlerOf: () => TcpHandler): Promise<unknown> {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8 });
  const thrown = nextUncaught();
  const server = await TcpServer.listen(pool, { codec, handler: handlerOf });
  const client = connect(server.port);
  client.on('error', () => {}).write(FRAMES);
  const error = await thrown;
  // The link closes with an error, and resets its peer.
  if (!client.destroyed) await new Promise((resolve) => client.once('close', resolve));
  await server.close();
  expect(pool.close()).toMatchObject({ heldByThreads: 0 });
  return error;
}

test('a handler of borrowed frames that returns a promise is told so', async () => {
  const error = await closedWith(() => ({ onFrame: async () => {} }));
  expect(error).toMatchObject({ code: 'ERR_BUSBAR_HANDLER_RESULT' });
  expect(String(error)).toContain('for await (const packet of link)');
  const sync = String(await closedWith(() => ({ onFrame: () => true as never })));
  expect(sync).toContain("onFrame returned true; put braces around an arrow function's body");
  expect(sync).not.toContain('await');
  expect(await closedWith(() => ({ onFrames: async () => {} }))).toMatchObject({
    code: 'ERR_BUSBAR_HANDLER_RESULT',
  });
});

test('callbacks that an async handler returns are refused: none would be called', async () => {
  const callbacks = { onFrame() {} };
  const error = await closedWith((async () => callbacks) as never);
  expect(error).toMatchObject({ code: 'ERR_BUSBAR_HANDLER_RESULT' });
  expect(String(error)).toContain('an async handler, which has no callbacks, returned');
});

test('a rejection of such a handler is not reported besides', async () => {
  const handler = (): TcpHandler => ({ onFrame: () => Promise.reject(new Error('late')) as never });
  expect(await closedWith(handler)).toMatchObject({ code: 'ERR_BUSBAR_HANDLER_RESULT' });
});

test('datagrams that are borrowed: the same', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8 });
  const network = new LoopbackNetwork();
  const server = await network.open(pool, {
    host: '10.0.0.1',
    port: 7,
    handler: () => ({ onMessage: () => 7 as never }),
  });
  const client = await network.open(pool, {
    host: '10.0.0.2',
    peer: { host: '10.0.0.1', port: 7 },
    handler: () => ({ onMessage() {} }),
  });
  const thrown = nextUncaught();
  client.tryWrite(Uint8Array.of(1));
  expect(String(await thrown)).toContain('onMessage returned 7');
  await Promise.all([client.close(), server.close()]);
});
