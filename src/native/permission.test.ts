// SPDX-License-Identifier: MIT
import { afterEach, expect, test } from 'vitest';
import { LengthPrefixCodec } from '../framer/index.ts';
import { TcpLink, TcpServer, UdpLink } from '../link/index.ts';
import { BufferPool } from '../pool/index.ts';
import { checkNetAllowed } from './permission.ts';

const DENIED = { code: 'ERR_BUSBAR_LINK_REFUSED', cause: { code: 'ERR_ACCESS_DENIED' } };
const knows = process.allowedNodeEnvironmentFlags;

afterEach(() => {
  Reflect.deleteProperty(process, 'permission');
  Object.defineProperty(process, 'allowedNodeEnvironmentFlags', { value: knows });
});

test('the network is denied only by a Node that has a permission for it', () => {
  const flags = (...names: string[]): Set<string> => new Set(names);
  const no = { has: () => false };
  checkNetAllowed({ allowedNodeEnvironmentFlags: flags('--allow-net') });
  checkNetAllowed({ allowedNodeEnvironmentFlags: flags(), permission: no });
  checkNetAllowed({
    allowedNodeEnvironmentFlags: flags('--allow-net'),
    permission: { has: (scope) => scope === 'net' },
  });
  const denying = { allowedNodeEnvironmentFlags: flags('--allow-net'), permission: no };
  expect(() => checkNetAllowed(denying)).toThrow('--allow-net');
});

test('links and servers reject where the network is denied', async () => {
  const define = (name: string, value: unknown): void => {
    Object.defineProperty(process, name, { value, configurable: true });
  };
  define('permission', { has: (scope: string) => scope !== 'net' });
  define('allowedNodeEnvironmentFlags', new Set(['--allow-net']));
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 4, maxThreads: 1 });
  const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');
  const tcp = { codec, handler: () => ({ onFrame: () => {} }) };
  await expect(TcpServer.listen(pool, tcp)).rejects.toMatchObject(DENIED);
  await expect(TcpLink.connect(pool, { ...tcp, port: 9 })).rejects.toMatchObject(DENIED);
  for (const implementation of ['auto', 'dgram'] as const) {
    const opened = UdpLink.open(pool, { implementation, handler: () => ({ onMessage: () => {} }) });
    await expect(opened).rejects.toMatchObject(DENIED);
  }
});
