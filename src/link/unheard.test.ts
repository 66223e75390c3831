// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { settle, until } from '../../test/turns.ts';
import { LengthPrefixCodec } from '../framer/index.ts';
import { BufferPool } from '../pool/index.ts';
import { LoopbackNetwork, TcpLink, TcpServer, UdpLink } from './index.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
const handler = () => ({ onFrame() {} });
/** Their prefix says 0x68656c6c bytes. */
const UNFRAMED = Buffer.from('hello');

let pool: BufferPool;
let warnings: string[];
let nowMs = 0;

beforeEach(() => {
  pool = BufferPool.create({ bufferSize: 4096, bufferCount: 16, maxThreads: 1 });
  warnings = [];
  vi.spyOn(process, 'emitWarning').mockImplementation((text, options) => {
    warnings.push(`${(options as { code: string }).code}: ${text}`);
  });
  // A second for each test, and none within one.
  nowMs += 10_000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});

afterEach(() => {
  vi.restoreAllMocks();
  expect(pool.stats().held).toBe(0);
});

test('a refused frame: the server warns once a second, and the peer gets a reset', async () => {
  const server = await TcpServer.listen(pool, { codec, handler });
  const offend = async (): Promise<string> => {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(UNFRAMED);
    const [error] = await once(socket, 'error');
    return error.code;
  };
  expect([await offend(), await offend(), await offend()]).toEqual(Array(3).fill('ECONNRESET'));
  await until(() => server.failed === 3);
  expect(server.lastError).toMatchObject({ code: 'ERR_BUSBAR_FRAME_TOO_LARGE' });
  expect(server.refused).toBe(0);
  expect(warnings.length).toBe(1);
  expect(warnings[0]).toMatch(
    /^BUSBAR_LINK: a server on port \d+: .*no handler gets its error: ERR_BUSBAR_FRAME_TOO_LARGE, /,
  );
  nowMs += 1000;
  await offend();
  await until(() => server.failed === 4);
  expect(warnings[1]).toContain('(and 2 more since the last warning)');
  await server.close();
});

test('a warning names the port or path that was bound, also after its close', async () => {
  const server = await TcpServer.listen(pool, { codec, handler });
  const { port } = server;
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  await until(() => server.links.size === 1);
  server.stopListening();
  expect(server.port).toBe(0);
  socket.write(UNFRAMED);
  await until(() => server.failed === 1);
  expect(warnings).toEqual([expect.stringContaining(`a server on port ${port}: a link without`)]);
  await server.close();
});

test('onError hears of links without onClose, and onClose of its own', async () => {
  const errors: string[] = [];
  const closed: string[] = [];
  let hasOnClose = false;
  const server = await TcpServer.listen(pool, {
    codec,
    handler: () => ({
      onFrame() {},
      ...(hasOnClose ? { onClose: (_link, error) => void closed.push(`${error?.code}`) } : {}),
    }),
    onError: (error, link) => void errors.push(`${error.message} ${link instanceof TcpLink}`),
  });
  for (hasOnClose of [false, true]) {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(UNFRAMED);
    await once(socket, 'error');
  }
  await until(() => server.failed === 2);
  expect(errors).toEqual([expect.stringMatching(/ true$/)]);
  expect(closed).toEqual(['ERR_BUSBAR_FRAME_TOO_LARGE']);
  expect(warnings).toEqual([]);
  await server.close();
});

test('a client is told by its link, or else the process is warned', async () => {
  const server = await TcpServer.listen(pool, { codec, handler, onError() {} });
  const client = await TcpLink.connect(pool, { port: server.port, codec, handler });
  client.writer.tryWrite(UNFRAMED);
  await until(() => client.closed);
  expect(client.error?.code).toBe('ERR_BUSBAR_LINK_FAILED');
  expect(warnings).toEqual([
    expect.stringMatching(/a TCP link without onClose has failed, .* ERR_BUSBAR_LINK_FAILED, /),
  ]);
  await server.close();
});

test('a loop over a link gets its failure, and no warning is due', async () => {
  const errors: unknown[] = [];
  const server = await TcpServer.listen(pool, {
    codec,
    handler: async (link) => {
      try {
        for await (const packet of link) packet.release();
      } catch (error) {
        errors.push(error);
      }
    },
  });
  const client = await TcpLink.connect(pool, { port: server.port, codec });
  client.writer.tryWrite(UNFRAMED);
  const loop = (async () => {
    for await (const packet of client) packet.release();
  })();
  await expect(loop).rejects.toMatchObject({ code: 'ERR_BUSBAR_LINK_FAILED' });
  await until(() => errors.length === 1 && server.failed === 1);
  expect(errors).toEqual([server.lastError]);
  await settle();
  expect(warnings).toEqual([]);
  await server.close();
});

test('what a loop throws and its async handler passes on to no caller is told once', async () => {
  const errors: string[] = [];
  const server = await TcpServer.listen(pool, {
    codec,
    handler: async (link) => {
      for await (const packet of link) packet.release();
    },
    onError: (error, link) => void errors.push(`${(error as { code?: string }).code} ${!!link}`),
  });
  const socket = connect(server.port, '127.0.0.1');
  socket.write(UNFRAMED);
  await once(socket, 'error');
  await until(() => server.failed === 1 && errors.length === 1);
  await settle();
  expect(errors).toEqual(['ERR_BUSBAR_FRAME_TOO_LARGE true']);
  expect(warnings).toEqual([]);
  await server.close();
});

test.each(['packets', 'frames'] as const)(
  'a loop over %s that was left hears nothing more; one that goes on does',
  async (way) => {
    const server = await TcpServer.listen(pool, { codec, onError() {} });
    for (const isLeft of [true, false]) {
      const client = await TcpLink.connect(pool, { port: server.port, codec });
      await until(() => server.links.size === 1);
      const [peer] = server.links;
      await peer?.write('first');
      const errors: unknown[] = [];
      const reading = async (): Promise<void> => {
        if (way === 'packets') {
          for await (const packet of client) {
            packet.release();
            if (isLeft) break;
          }
          return;
        }
        for await (const frame of client.frames()) {
          for await (const packet of frame) packet.release();
          if (isLeft) break;
        }
      };
      const read = reading().catch((error) => errors.push(error.code));
      if (isLeft) await read;
      client.writer.tryWrite(UNFRAMED);
      await until(() => client.closed);
      await read;
      expect(errors).toEqual(isLeft ? [] : ['ERR_BUSBAR_LINK_FAILED']);
      expect(warnings.length).toBe(1);
    }
    await server.close();
  },
);

test('who comes back to a loop after the failure was told does not tell it again', async () => {
  const told: unknown[] = [];
  const ends: unknown[] = [];
  let isLeft = false;
  const server = await TcpServer.listen(pool, {
    codec,
    handler: async (link) => {
      for await (const packet of link) {
        packet.release();
        break;
      }
      isLeft = true;
      await until(() => link.closed);
      try {
        for await (const packet of link) packet.release();
      } catch (error) {
        ends.push(error === link.error);
        throw error;
      }
    },
    onError: (error) => void told.push((error as { code?: string }).code),
  });
  const socket = connect(server.port, '127.0.0.1').on('error', () => {});
  socket.write(Buffer.from('\0\0\0\x01x'));
  await until(() => isLeft);
  socket.write(UNFRAMED);
  await until(() => ends.length === 1);
  await settle();
  expect(ends).toEqual([true]);
  expect(told).toEqual(['ERR_BUSBAR_FRAME_TOO_LARGE']);
  socket.destroy();
  await server.close();
});

test('on a loopback network the peer of a refused frame fails, too', async () => {
  const network = new LoopbackNetwork({ seed: 1 });
  const server = await network.listen(pool, { host: '10.0.0.1', port: 7, codec, handler });
  const client = await network.connect(pool, { host: '10.0.0.1', port: 7, codec, handler });
  client.writer.tryWrite(UNFRAMED);
  await until(() => client.closed && server.failed === 1);
  expect(client.error?.code).toBe('ERR_BUSBAR_LINK_FAILED');
  expect(warnings.length).toBe(1);
  await server.close();
});

test('what the program does itself is no failure, nor is an end in good order', async () => {
  const server = await TcpServer.listen(pool, { codec, handler });
  const aborting = new AbortController();
  const { signal } = aborting;
  const links = [
    await TcpLink.connect(pool, { port: server.port, codec, handler }),
    await TcpLink.connect(pool, { port: server.port, codec, handler }),
    await TcpLink.connect(pool, { port: server.port, codec, handler, signal }),
  ];
  const udp = await UdpLink.open(pool, { handler: () => ({ onMessage() {} }), signal });
  await links[0]?.close();
  links[1]?.destroy();
  aborting.abort();
  await until(() => links.every((link) => link.closed) && udp.closed);
  await server.close();
  await settle();
  expect(warnings).toEqual([]);
});

test('a UDP link that fails without onClose and onError warns', async () => {
  const closing = BufferPool.create({ bufferSize: 4096, bufferCount: 1, maxThreads: 1 });
  const udp = await UdpLink.open(closing, { handler: () => ({ onMessage() {} }) });
  closing.tryAcquire();
  const peer = { host: '127.0.0.1', port: udp.local.port };
  const client = await UdpLink.open(pool, { peer, handler: () => ({ onMessage() {} }) });
  client.tryWrite(UNFRAMED);
  await until(() => udp.stats().exhaustions > 0);
  closing.close();
  await until(() => udp.closed);
  await settle();
  expect(udp.error?.code).toBe('ERR_BUSBAR_POOL_CLOSED');
  expect(warnings).toEqual([expect.stringContaining('a UDP link without onClose has failed')]);
  await client.close();
});

test('a stream of any kind that breaks warns', async () => {
  const broken = new PassThrough();
  const link = TcpLink.adopt(pool, broken, { codec, handler });
  broken.destroy(new Error('broken'));
  await until(() => link.closed);
  expect(warnings).toEqual([expect.stringContaining('ERR_BUSBAR_LINK_FAILED, ')]);
});
