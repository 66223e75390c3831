// SPDX-License-Identifier: MIT
/** The end of links that a server has: what async handlers learn of it, and how all of them end. */
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { settle, until } from '../../test/turns.ts';
import { uncaughtDuring } from '../../test/uncaught.ts';
import { LengthPrefixCodec } from '../framer/index.ts';
import { BufferPool } from '../pool/index.ts';
import { TcpLink, TcpServer } from './index.ts';

const codec = () => new LengthPrefixCodec('u32');
const makePool = (): BufferPool =>
  BufferPool.create({ bufferSize: 1024, bufferCount: 32, maxThreads: 1 });

type Read = (link: TcpLink) => Promise<void>;

const READS: readonly (readonly [string, number, Read])[] = [
  [
    'a loop',
    1024,
    async (link) => {
      for await (const packet of link) packet.release();
    },
  ],
  ['handle', 1024, (link) => link.handle((packet) => packet.release())],
  [
    'receive',
    1024,
    async (link) => {
      for (let packet = await link.receive(); packet; packet = await link.receive()) {
        packet.release();
      }
    },
  ],
  [
    'frames, in parts',
    2 ** 20,
    async (link) => {
      for await (const frame of link.frames()) for await (const packet of frame) packet.release();
    },
  ],
];

describe.each([false, true])('allowHalfOpen: %s', (allowHalfOpen) => {
  test.each(READS)('a peer that ends within a frame: %s', async (_, maxFrameBytes, read) => {
    const pool = makePool();
    let isOver = false;
    const errors: Error[] = [];
    const uncaught = await uncaughtDuring(async () => {
      const server = await TcpServer.listen(pool, {
        codec,
        maxFrameBytes,
        allowHalfOpen,
        handler: (link) =>
          read(link).finally(() => {
            isOver = true;
          }),
        onError: (error) => errors.push(error),
      });
      const begun = Buffer.alloc(maxFrameBytes > 1024 ? 3000 : 30);
      begun.writeUInt32BE(maxFrameBytes > 1024 ? 5000 : 50);
      const client = connect(server.port, '127.0.0.1').on('error', () => {});
      client.resume().end(begun);
      await until(() => isOver);
      await settle();
      // It has begun to end, by itself.
      expect(server.links.size).toBe(0);
      await server.close();
      expect(server.failed).toBe(1);
    });
    expect(errors).toMatchObject([{ code: 'ERR_BUSBAR_LINK_TRUNCATED' }]);
    expect(uncaught).toEqual([]);
    expect(pool.close()).toMatchObject({ heldByThreads: 0 });
  });
});

const CALLS: readonly (readonly [string, (link: TcpLink) => unknown])[] = [
  ['write', (link) => link.write('a reply')],
  ['reserveFrame', (link) => link.reserveFrame(4)],
  ['tryWrite', (link) => link.tryWrite('a reply')],
  ['writer.tryWrite', (link) => link.writer.tryWrite(Buffer.from('a reply'))],
];

test.each(CALLS)('server.close() before the handler calls %s', async (_, call) => {
  const pool = makePool();
  let isInside = false;
  let isClosing = false;
  const codes: unknown[] = [];
  const uncaught = await uncaughtDuring(async () => {
    const server = await TcpServer.listen(pool, {
      codec,
      async handler(link) {
        try {
          (await link.receive())?.release();
          isInside = true;
          await until(() => isClosing);
          await call(link);
        } catch (error) {
          codes.push((error as { code?: unknown }).code);
          throw error;
        }
      },
    });
    // It has no end: so the server's link, which has sent its own, waits for it.
    const client = await TcpLink.connect(pool, { codec, port: server.port, allowHalfOpen: true });
    await client.write('a request');
    await until(() => isInside);
    const closed = server.close();
    await settle();
    isClosing = true;
    await until(() => codes.length > 0);
    await settle();
    await client.close();
    await closed;
  });
  expect(codes).toEqual(['ERR_BUSBAR_WRITER_CLOSED']);
  expect(uncaught).toEqual([]);
  expect(pool.close()).toMatchObject({ heldByThreads: 0 });
});

test('server.close() while the handler is within a frame', async () => {
  const pool = makePool();
  let isInside = false;
  let code: unknown;
  const uncaught = await uncaughtDuring(async () => {
    const server = await TcpServer.listen(pool, {
      codec,
      maxFrameBytes: 2 ** 20,
      async handler(link) {
        try {
          for await (const frame of link.frames()) {
            for await (const packet of frame) {
              packet.release();
              isInside = true;
            }
          }
        } catch (error) {
          code = (error as { code?: unknown }).code;
          throw error;
        }
      },
    });
    const begun = Buffer.alloc(3000);
    begun.writeUInt32BE(5000);
    const client = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
    client.on('error', () => {}).resume();
    client.write(begun);
    await until(() => isInside);
    const closed = server.close();
    await until(() => code !== undefined);
    await settle();
    client.end();
    await closed;
  });
  expect(code).toBe('ERR_BUSBAR_LINK_TRUNCATED');
  expect(uncaught).toEqual([]);
  expect(pool.close()).toMatchObject({ heldByThreads: 0 });
});

test('server.close() reads its options once: all links close', async () => {
  const pool = makePool();
  const server = await TcpServer.listen(pool, { codec });
  const clients = [1, 2, 3].map(() => connect(server.port, '127.0.0.1').resume());
  await until(() => server.links.size === 3);
  let reads = 0;
  await server.close({
    get deadlineMs() {
      if (++reads > 1) throw new Error('read again');
      return 60_000;
    },
  });
  expect(server.stats().links).toBe(0);
  for (const client of clients) client.destroy();
  expect(pool.close()).toMatchObject({ heldByThreads: 0 });
});
