// SPDX-License-Identifier: MIT
/** What a program's handler throws is never silent: it closes its link, and is uncaught. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { settle, until } from '../../test/turns.ts';
import { uncaughtDuring } from '../../test/uncaught.ts';
import { BusbarError } from '../base/errors.ts';
import { DelimiterCodec } from '../framer/index.ts';
import { type BufferId, BufferPool } from '../pool/index.ts';
import { TcpServer, type TcpServerOptions, UdpLink, type UdpLinkOptions } from './index.ts';

const codec = () => new DelimiterCodec('\n');
const fault = (): never => {
  throw new Error('of the handler');
};

const STREAMS: readonly (readonly [string, TcpServerOptions['handler']])[] = [
  ['onFrame', () => ({ onFrame: fault })],
  ['onFrames', () => ({ onFrames: fault })],
  ['onEnd', () => ({ onFrame() {}, onEnd: fault })],
  ['onClose', () => ({ onFrame() {}, onClose: fault })],
  ['an async handler', async () => fault()],
  [
    'a loop',
    async (link) => {
      for await (const packet of link) {
        packet.release();
        fault();
      }
    },
  ],
  ['handle', (link) => link.handle(fault)],
  ['handle, async', (link) => link.handle(async () => fault())],
  [
    'an async handler, after the link has failed, with an error of something else',
    async (link) => {
      link.destroy();
      throw new BusbarError('ERR_BUSBAR_REQUEST_FAILED', 'of the handler');
    },
  ],
];

test.each(STREAMS)('over TCP: %s', async (_, handler) => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 32 });
  const heard = await uncaughtDuring(async () => {
    const server = await TcpServer.listen(pool, { codec, ...(handler ? { handler } : {}) });
    const client = connect(server.port, '127.0.0.1').on('error', () => {});
    client.resume().end('x\n');
    await once(client, 'close').catch(() => {});
    await until(() => server.links.size === 0);
    await settle();
    await server.close();
  });
  expect(heard).toEqual([expect.stringMatching('of the handler')]);
});

const DATAGRAMS: readonly (readonly [string, UdpLinkOptions['handler']])[] = [
  ['onMessage', () => ({ onMessage: fault })],
  [
    'onClose',
    () => ({ onMessage: (_offset, _length, _id, link) => link.destroy(), onClose: fault }),
  ],
  [
    'a loop',
    async (link) => {
      for await (const packet of link) {
        packet.release();
        fault();
      }
    },
  ],
  ['handle', (link) => link.handle(fault)],
];

test.each(DATAGRAMS)('over UDP: %s', async (_, handler) => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 32 });
  const heard = await uncaughtDuring(async () => {
    const server = await UdpLink.open(pool, handler ? { handler } : {});
    const peer = { host: '127.0.0.1', port: server.local.port };
    const client = await UdpLink.open(pool, { peer });
    client.tryWrite('x');
    await until(() => server.closed);
    await settle();
    await client.close();
  });
  expect(heard).toEqual([expect.stringMatching('of the handler')]);
});

test.each(['TCP', 'UDP'])('over %s: in a delivery that has waited for a buffer', async (how) => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8 });
  const heard = await uncaughtDuring(async () => {
    const server =
      how === 'TCP'
        ? await TcpServer.listen(pool, { codec, handler: () => ({ onFrame: fault }) })
        : await UdpLink.open(pool, { handler: () => ({ onMessage: fault }) });
    const held: BufferId[] = [];
    while (pool.stats().held < 8) held.push(pool.tryAcquire());
    const client =
      server instanceof TcpServer
        ? connect(server.port, '127.0.0.1').on('error', () => {})
        : createSocket('udp4');
    if (client instanceof Socket) client.end('x\n');
    else if (server instanceof UdpLink) client.send('x', server.local.port, '127.0.0.1');
    await until(() => server.stats().exhaustions > 0);
    for (const id of held) pool.release(id);
    await until(() => (server instanceof TcpServer ? server.links.size === 0 : server.closed));
    await settle();
    await server.close();
    if (client instanceof Socket) client.destroy();
    else client.close();
  });
  expect(heard).toEqual(['of the handler']);
});
