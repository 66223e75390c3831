// SPDX-License-Identifier: MIT
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { numbered, numberOf } from '../../../test/numbered.ts';
import { until } from '../../../test/turns.ts';
import { each, eachOfSystem, UdpPeers } from '../../../test/udp-peers.ts';
import { UdpAddress, type UdpLink } from '../index.ts';

const ETHERNET_BYTES = 1472;
const UDP_BYTES_MAX = 65_507;

each('datagrams of 0, 1, an MTU and the most bytes arrive as they were', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const lengths = [0, 1, ETHERNET_BYTES, UDP_BYTES_MAX, 0, 2, 65_000, 1];
  const got: Uint8Array[] = [];
  const server = await peers.open({
    onMessage: (offset, length) => void got.push(peers.pool.bytes.slice(offset, offset + length)),
  });
  const client = await peers.sender(server);
  const sent = lengths.map((length, i) => new Uint8Array(length).map((_, k) => i + k));
  for (const [i, bytes] of sent.entries()) {
    while (!client.tryWrite(bytes)) client.flush();
    client.flush();
    await until(() => got.length === i + 1);
  }
  expect(got.map((bytes) => bytes.length)).toEqual(lengths);
  for (const [i, bytes] of sent.entries()) expect(Buffer.compare(bytes, got[i])).toBe(0);
  expect(client.stats()).toMatchObject({ datagramsWritten: lengths.length, lostDatagrams: 0 });
  await peers.close();
});

each('a datagram that is too long is reported, and the rest of its batch arrives', async (impl) => {
  const peers = new UdpPeers(impl);
  const got: number[] = [];
  const errors: string[] = [];
  const server = await peers.open({ onMessage: (_offset, length) => void got.push(length) });
  const { host, port } = server.local;
  const client = await peers.open(
    { onMessage() {}, onError: (error) => void errors.push(error.code) },
    { peer: { host, port }, highWaterBytes: 1 << 20 },
  );
  for (const length of [10, UDP_BYTES_MAX + 1, 20]) {
    expect(client.tryWrite(new Uint8Array(length))).toBe(true);
  }
  client.flush();
  await until(() => got.length === 2 && errors.length === 1);
  expect(got).toEqual([10, 20]);
  expect(errors).toEqual(['ERR_BUSBAR_DATAGRAM_TOO_LARGE']);
  expect(client.stats().errors).toBe(1);
  await peers.close();
});

each('packed messages come out of datagrams as they went in', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const count = 4000;
  const got: number[] = [];
  const server = await peers.open(
    {
      onMessage(offset, length) {
        got.push(length < 8 ? -2 : numberOf(peers.pool.bytes, offset, length));
      },
    },
    { mode: 'packed', receiveBytes: 1 << 22 },
  );
  const client = await peers.sender(server, { mode: 'packed', writer: {} });
  const lengths = (n: number): number => (n % 97 === 0 ? 0 : n % 501 === 500 ? 3000 : 8 + (n % 60));
  for (let n = 0; n < count; n++) {
    const length = lengths(n);
    const bytes = length < 8 ? new Uint8Array(length) : numbered(n, length);
    expect(client.tryWrite(bytes)).toBe(true);
    if (n % 400 === 399) {
      client.flush();
      await until(() => got.length === n + 1);
    }
  }
  expect(got).toEqual(Array.from({ length: count }, (_, n) => (lengths(n) < 8 ? -2 : n)));
  const { datagramsWritten } = client.stats();
  expect(datagramsWritten).toBeLessThan(count / 10);
  expect(server.stats()).toMatchObject({ datagramsRead: datagramsWritten, messages: count });
  await peers.close();
});

each('a packed datagram whose lengths do not add up is delivered as far as they do', async (i) => {
  const peers = new UdpPeers(i);
  const got: number[] = [];
  const server = await peers.open(
    { onMessage: (_offset, length) => void got.push(length) },
    { mode: 'packed' },
  );
  const client = await peers.sender(server);
  for (const bytes of [[0, 1, 7, 0, 5, 1], [0], [255, 255, 1], [], [0, 2, 1, 1]]) {
    client.tryWrite(Uint8Array.from(bytes));
  }
  await until(() => server.stats().datagramsRead === 5);
  expect(got).toEqual([1, 2]);
  expect(server.stats()).toMatchObject({ messages: 2, malformed: 3 });
  await peers.close();
});

each('messages of one size need no lengths', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const got: number[] = [];
  const server = await peers.open(
    { onMessage: (offset, length) => void got.push(numberOf(peers.pool.bytes, offset, length)) },
    { receiveBytes: 1 << 20 },
  );
  const client = await peers.sender(server, { messageBytes: 64 });
  for (let n = 0; n < 200; n++) expect(client.tryWrite(numbered(n, 64))).toBe(true);
  expect(() => client.tryWrite(new Uint8Array(63))).toThrow(/length must be .* got 63/);
  await until(() => got.length === 200);
  expect(got).toEqual(Array.from({ length: 200 }, (_, n) => n));
  await peers.close();
});

each('what is left of messages of one size goes as a shorter datagram', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const got: number[] = [];
  const server = await peers.open({ onMessage: (_offset, length) => void got.push(length) });
  const client = await peers.sender(server, { messageBytes: 64 });
  client.writer.tryWrite(new Uint8Array(100));
  client.writer.tryWrite(new Uint8Array(40));
  await until(() => got.length === 3);
  expect(got).toEqual([64, 64, 12]);
  await peers.close();
});

eachOfSystem(
  'a datagram longer than a buffer is cut short, and says so',
  async (implementation) => {
    const peers = new UdpPeers(implementation, 32, 1024);
    const got: [number, boolean][] = [];
    const server = await peers.open((link) => ({
      onMessage: (_offset, length) => void got.push([length, link.truncated]),
    }));
    const socket = createSocket('udp4');
    for (const length of [1024, 1025, 5]) {
      socket.send(new Uint8Array(length), server.local.port, '127.0.0.1');
    }
    await until(() => got.length === 3);
    expect(got).toEqual([
      [1024, false],
      [1024, true],
      [5, false],
    ]);
    expect(server.stats().truncated).toBe(1);
    socket.close();
    await peers.close();
  },
);

eachOfSystem(
  'marks of congestion arrive with their datagrams, where there is the shim',
  async (i) => {
    const peers = new UdpPeers(i);
    const got: number[] = [];
    for (const host of ['127.0.0.1', '::1']) {
      const server = await peers.open((link) => ({ onMessage: () => void got.push(link.ecn) }), {
        host,
      });
      const client = await peers.sender(server, { host });
      if (i === 'dgram') {
        const unavailable = expect.objectContaining({ code: 'ERR_BUSBAR_NATIVE_UNAVAILABLE' });
        expect(() => client.setTrafficClass(1)).toThrow(unavailable);
        got.push(0, 1, 2, 3);
        continue;
      }
      for (const ecn of [0, 1, 2, 3]) {
        client.setTrafficClass(0x20 | ecn);
        client.tryWrite(new Uint8Array(5));
        client.flush();
      }
      await until(() => got.length === (host === '::1' ? 8 : 4));
    }
    expect(got).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
    await peers.close();
  },
);

const ECHO = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(0, '127.0.0.1', () => console.log(socket.address().port));
`;

eachOfSystem('another process with plain sockets gets every datagram and answers it', async (i) => {
  const peers = new UdpPeers(i);
  const child = spawn(process.execPath, ['-e', ECHO], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  const got = new Set<number>();
  const link = await peers.open(
    { onMessage: (offset, length) => void got.add(numberOf(peers.pool.bytes, offset, length)) },
    { peer: { host: '127.0.0.1', port: Number(line) } },
  );
  for (let n = 0; n < 100; n++) {
    for (let k = 0; k < 5; k++) link.tryWrite(numbered(5 * n + k, 64));
    await until(() => got.size === 5 * n + 5);
  }
  expect(got.has(-1)).toBe(false);
  child.kill();
  await once(child, 'exit');
  await peers.close();
});

each('a packed link sends no datagram that is not one', async (i) => {
  const peers = new UdpPeers(i);
  const got: number[] = [];
  const server = await peers.open(
    (link) => ({
      onMessage(offset, length, bufferId) {
        peers.pool.retain(bufferId);
        expect(() => link.tryReplyRegion(bufferId, offset, length)).toThrow(
          expect.objectContaining({ code: 'ERR_BUSBAR_FRAME_MALFORMED' }),
        );
        // Its length lies before it.
        expect(link.tryReplyRegion(bufferId, offset - 2, length + 2)).toBe(true);
      },
    }),
    { mode: 'packed' },
  );
  const client = await peers.open(
    { onMessage: (offset, length) => void got.push(numberOf(peers.pool.bytes, offset, length)) },
    { mode: 'packed', peer: { host: server.local.host, port: server.local.port } },
  );
  for (let n = 0; n < 10; n++) expect(client.tryWrite(numbered(n, 20 + n))).toBe(true);
  await until(() => got.length === 10);
  expect(got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await peers.close();
});

test('wrong options are named', async () => {
  const peers = new UdpPeers('auto');
  const open = (options: object) => peers.open({ onMessage() {} }, options);
  await expect(open({ host: '1.2.3.256' })).rejects.toThrow(/host must be an IPv4 or IPv6 address/);
  await expect(open({ port: 70_000 })).rejects.toThrow(/port must be .* got 70000/);
  await expect(open({ mode: 'both' })).rejects.toThrow(/mode must be one of message, packed/);
  for (const host of ['a b', '', 'x:1', '1.2.3']) {
    const message = `must be an IPv4 or IPv6 address or a name, got ${JSON.stringify(host)}`;
    await expect(open({ host })).rejects.toThrow(new RangeError(`host ${message}`));
    await expect(open({ peer: { host, port: 1 } })).rejects.toThrow(`peer.host ${message}`);
  }
  expect(() => UdpAddress.of('localhost', 1)).toThrow(/^host must .*"localhost", a name: UdpAddr/);
  await expect(open({ prot: 1 })).rejects.toThrow(/"prot"/);
  await expect(open({ peer: '1.2.3.4' })).rejects.toThrow(/peer must be an object/);
  await expect(open({ peer: { host: '::1', port: 1 }, host: '127.0.0.1' })).rejects.toThrow(
    /family/,
  );
  await expect(open({ peer: { host: '::1', port: 0 } })).rejects.toThrow(
    /^peer.port must be .* got 0$/,
  );
  const nobody = UdpAddress.of('::1', 0);
  await expect(open({ peer: nobody, host: '::1' })).rejects.toThrow(/peer must have a port/);
  await expect(open({ peer: {} })).rejects.toThrow(/^peer.host must be a string, got undefined$/);
  await expect(open({ peer: { host: '::1' } })).rejects.toThrow(/^peer.port must be an integer/);
  await expect(open({ peer: { host: '::x', port: 1 } })).rejects.toThrow(
    /^peer.host must be an IPv4/,
  );
  await expect(open({ messageBytes: 1, mode: 'packed' })).rejects.toThrow(/messageBytes/);
  await expect(open({ messageBytes: 65_508 })).rejects.toThrow(
    /messageBytes must be .* 1 to 65507/,
  );
  const small = new UdpPeers('auto', 8, 4096);
  await expect(small.open({ onMessage() {} }, { messageBytes: 4097 })).rejects.toThrow(
    /^messageBytes must be an integer from 1 to 4096, got 4097$/,
  );
  await small.close();
  await expect(open({ datagramBytes: 1 })).rejects.toThrow(/datagramBytes/);
  await expect(open({ lowWaterBytes: 9, highWaterBytes: 8 })).rejects.toThrow(/lowWaterBytes/);
  const both = { onMessage() {}, onPacket() {} };
  await expect(peers.open(both)).rejects.toThrow(/either onMessage or onPacket$/);
  const link = await open({});
  expect(() => (link as UdpLink).writer).toThrow(/without a peer/);
  expect(() => (link as UdpLink).takePacket()).toThrow(/current message/);
  for (const [to, message] of [
    [{ host: '127.0.0.1', port: 0 }, /^to.port must be an integer from 1 to 65535, got 0$/],
    [{}, /^to.host must be a string, got undefined$/],
    [{ host: 'localhost', port: 1 }, /^to.host must .*, got "localhost", a name: .*lookup finds/],
  ] as const) {
    expect(() => link.writerTo(to as never)).toThrow(message);
    expect(() => link.addWriter(0, to as never)).toThrow(message);
  }
  await expect(open({ ipv6Only: true, host: '127.0.0.1' })).rejects.toThrow(
    /^host must be an IPv6/,
  );
  const somewhere = UdpAddress.of('127.0.0.1', 9);
  expect(() => link.writerTo(somewhere, null as never)).toThrow(/^options must be an object/);
  await peers.close();
});
