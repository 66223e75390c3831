// SPDX-License-Identifier: MIT
/** What a program's handler throws is never silent: it closes its link, and is uncaught. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { settle, until } from '../../test/turns.ts';
import { uncaughtDuring } from '../../test/uncaught.ts';
import { BusbarError } from '../base/errors.ts';
import { DelimiterCodec } from '../framer/index.ts';
import { BufferPool } from '../pool/index.ts';
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
