// SPDX-License-Identifier: MIT
import { isIP } from 'node:net';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { UdpAddress, UdpLink } from '../index.ts';
import { type HostLookup, isHostName, lookUpHost } from './udp-lookup.ts';
import { resolveNames } from './udp-names.ts';

/** A name service that knows two hosts, and notes what it is asked. */
function names(): { readonly asked: string[]; readonly lookup: HostLookup } {
  const known: Record<string, string> = { 'both 4': '192.0.2.1', 'both 6': '2001:db8::1' };
  const asked: string[] = [];
  return {
    asked,
    lookup: (name, { family }, done) => {
      asked.push(`${name} ${family}`);
      const address = known[`${name} ${family === 0 ? 6 : family}`];
      const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), {
        code: 'ENOTFOUND',
      });
      queueMicrotask(() => (address === undefined ? done(error, '') : done(null, address)));
    },
  };
}

const REFUSED = { code: 'ERR_BUSBAR_LINK_REFUSED', cause: { code: 'ENOTFOUND' } };

test('what may be a name is told from a wrong address', () => {
  for (const name of ['localhost', 'a.example', 'x-1', '_dns.example.', 'bücher.example']) {
    expect(isHostName(name), name).toBe(true);
  }
  const others = [
    '',
    '1.2.3.256',
    '1.2.3',
    '7',
    'a.0x7f',
    '::x',
    'fe80::1%',
    'a b',
    'a\0',
    '[::1]',
  ];
  for (const text of [...others, '127.0.0.1', '::1', 'a'.repeat(254), 5, null]) {
    expect(isHostName(text), String(text)).toBe(false);
  }
});

test('an address in numbers is looked up by nobody', async () => {
  const { asked, lookup } = names();
  expect(await lookUpHost('127.0.0.1', {}, lookup)).toBe('127.0.0.1');
  const options = { host: '::1', peer: { host: '::2', port: 1 } };
  expect(await resolveNames(options, lookup)).toBe(options);
  expect(asked).toEqual([]);
});

test('a name is looked up once, in the family of the other address', async () => {
  const { asked, lookup } = names();
  const peer = { host: 'both', port: 9 };
  expect(await resolveNames({ host: '0.0.0.0', peer, port: 1 }, lookup)).toEqual({
    ...{ host: '0.0.0.0', peer: { host: '192.0.2.1', port: 9 }, port: 1 },
  });
  expect(await resolveNames({ peer }, lookup)).toEqual({ peer: { host: '2001:db8::1', port: 9 } });
  expect(await resolveNames({ host: 'both', peer: UdpAddress.of('192.0.2.7', 9) }, lookup)).toEqual(
    {
      ...{ host: '192.0.2.1', peer: UdpAddress.of('192.0.2.7', 9) },
    },
  );
  expect(await resolveNames({ host: 'both', peer }, lookup)).toEqual({
    ...{ host: '2001:db8::1', peer: { host: '2001:db8::1', port: 9 } },
  });
  expect(await resolveNames({ host: 'both', ipv6Only: true }, lookup)).toMatchObject({
    host: '2001:db8::1',
  });
  const each = ['both 4', 'both 0', 'both 4', 'both 0', 'both 6', 'both 6'];
  expect(asked).toEqual(each);
});

test('a name without an address is an error with a code', async () => {
  const { lookup } = names();
  await expect(lookUpHost('nobody', {}, lookup)).rejects.toMatchObject(REFUSED);
  await expect(resolveNames({ host: 'nobody' }, lookup)).rejects.toMatchObject(REFUSED);
  const strange: HostLookup = (_name, _options, done) => done(null, 'not an address');
  await expect(lookUpHost('a', {}, strange)).rejects.toMatchObject({ code: REFUSED.code });
});

test('a lookup that nobody answers ends with its signal, or in time', async () => {
  const never: HostLookup = () => {};
  const aborting = new AbortController();
  const looking = resolveNames({ host: 'a', signal: aborting.signal }, never);
  aborting.abort(new Error('enough'));
  await expect(looking).rejects.toThrow('enough');
  await expect(lookUpHost('a', { signal: aborting.signal }, never)).rejects.toThrow('enough');
  await expect(lookUpHost('a', { timeoutMs: 1 }, never)).rejects.toMatchObject({
    code: 'ERR_BUSBAR_TIMEOUT',
  });
});

test('what is wrong is named', async () => {
  const wrong = (host: unknown, options?: unknown): Promise<unknown> =>
    UdpAddress.lookup(host as string, 1, options as object);
  await expect(wrong(5)).rejects.toThrow(/^host must be a string, got 5$/);
  await expect(wrong('1.2.3.256')).rejects.toThrow(
    /^host must be an IPv4 or IPv6 address or a name/,
  );
  await expect(wrong('::1', { family: 5 })).rejects.toThrow(/^family must be 4 or 6, got 5$/);
  await expect(wrong('::1', { family: 4 })).rejects.toThrow(/^host must be an IPv4 address or a/);
  await expect(wrong('::1', { familiy: 4 })).rejects.toThrow(/"familiy"/);
  await expect(UdpAddress.lookup('::1', 70_000)).rejects.toThrow(/^port must be/);
});

test('localhost is this machine', async () => {
  const address = await UdpAddress.lookup('localhost', 53, { family: 4 });
  expect(address).toMatchObject({ family: 4, port: 53, host: expect.stringMatching(/^127\./) });
});

test.each(['auto', 'dgram'] as const)('links are opened by names, %s', async (implementation) => {
  const pool = BufferPool.create({ bufferSize: 2048, bufferCount: 16 });
  let heard: (text: string) => void = () => {};
  const message = new Promise<string>((resolve) => {
    heard = resolve;
  });
  const server = await UdpLink.open(pool, {
    implementation,
    host: 'localhost',
    handler: (link) => ({
      onMessage() {
        using packet = link.takePacket();
        heard(packet.toString());
      },
    }),
  });
  expect(isIP(server.local.host)).toBe(server.local.family);
  const client = await UdpLink.open(pool, {
    implementation,
    host: server.local.host,
    peer: { host: 'localhost', port: server.local.port },
    handler: () => ({ onMessage() {} }),
  });
  expect(client.peer).toEqual(server.local);
  client.tryWrite(Buffer.from('by name'));
  expect(await message).toBe('by name');
  await client.close();
  await server.close();
  pool.close();
});
