// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { numbered, numberOf } from '../../../test/numbered.ts';
import { settle, until } from '../../../test/turns.ts';
import { each, eachOfSystem, UdpPeers } from '../../../test/udp-peers.ts';
import { LocalWriter, WriteFlusher } from '../../writer/index.ts';
import { UdpAddress, type UdpLink } from '../index.ts';

eachOfSystem('an answer to port 0, as anybody may claim to be, fails no handler', async (i) => {
  const peers = new UdpPeers(i);
  const errors: string[] = [];
  const link = await peers.open({ onMessage() {}, onError: ({ code }) => void errors.push(code) });
  link.writerTo(UdpAddress.of('127.0.0.1', 0)).tryWrite(Uint8Array.of(0, 1, 7));
  await until(() => errors.length === 1);
  expect([errors[0], link.closed]).toEqual(['ERR_BUSBAR_DATAGRAM_FAILED', false]);
  await peers.close();
});

each('a port where nobody listens is reported, and the link goes on', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const place = await peers.open({ onMessage() {} });
  const { port } = place.local;
  await place.close();
  const errors: string[] = [];
  const client = await peers.open(
    { onMessage() {}, onError: (error) => void errors.push(error.code) },
    { peer: { host: '127.0.0.1', port } },
  );
  for (let n = 0; n < 5; n++) client.tryWrite(numbered(n, 20 + n));
  await until(() => {
    const { datagramsWritten, lostDatagrams } = client.stats();
    return errors.length > 0 && datagramsWritten + lostDatagrams === 5;
  });
  await settle();
  expect(new Set(errors)).toEqual(new Set(['ERR_BUSBAR_DATAGRAM_REFUSED']));
  const got: number[] = [];
  await peers.open({ onMessage: (_offset, length) => void got.push(length) }, { port });
  for (let n = 0; n < 5; n++) client.tryWrite(numbered(n, 20 + n));
  await until(() => got.length === 5);
  expect(got).toEqual([20, 21, 22, 23, 24]);
  expect(client.closed).toBe(false);
  await peers.close();
});

each('IPv6, and an answer to where a message came from', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const sources: string[] = [];
  const server = await peers.open(
    (link) => ({
      onMessage(offset, length, bufferId) {
        sources.push(link.source().toString());
        peers.pool.retain(bufferId);
        expect(link.tryReplyRegion(bufferId, offset, length)).toBe(true);
      },
    }),
    { host: '::1' },
  );
  expect(server.local.family).toBe(6);
  const got: number[] = [];
  const { host, port } = server.local;
  const client = await peers.open(
    { onMessage: (offset, length) => void got.push(numberOf(peers.pool.bytes, offset, length)) },
    { host: '::1', peer: { host, port } },
  );
  for (let n = 0; n < 50; n++) client.tryWrite(numbered(n, 30 + n));
  await until(() => got.length === 50);
  expect(got).toEqual(Array.from({ length: 50 }, (_, n) => n));
  expect(new Set(sources)).toEqual(new Set([`[::1]:${client.local.port}`]));
  await peers.close();
});

each('sources are numbers, and several senders are told apart', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const got: string[] = [];
  const words = new Int32Array(8);
  const server = await peers.open((link) => ({
    onMessage(offset) {
      link.copySource(words);
      expect(link.sourceHost).toBe(0x7f000001);
      expect(words[1]).toBe(link.sourcePort);
      got.push(`${link.sourcePort} ${peers.pool.bytes[offset]}`);
    },
  }));
  const senders = [];
  for (let n = 0; n < 5; n++) senders.push(await peers.sender(server));
  for (const [n, link] of senders.entries()) link.tryWrite(Uint8Array.of(n));
  await until(() => got.length === 5);
  const expected = senders.map(({ local }, n) => `${local.port} ${n}`);
  expect(got.sort()).toEqual(expected.sort());
  await peers.close();
});

each('where a message came from is told only while it is delivered', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const words = new Int32Array(8);
  const late: unknown[] = [];
  const server = await peers.open((link) => ({
    onMessage() {
      const { port } = link.source();
      expect(() => link.copySource(words.subarray(4))).toThrow(
        /^target must have room for 8 words, got 4$/,
      );
      void settle().then(() => {
        late.push(port);
        for (const ask of asks(link)) {
          try {
            late.push(ask());
          } catch (error) {
            late.push(error);
          }
        }
      });
    },
  }));
  const asks = (link: UdpLink): (() => unknown)[] => [
    () => link.source(),
    () => link.sourceHost,
    () => link.sourcePort,
    () => link.copySource(words),
  ];
  const outside = /^there is a current message only while the handler is called$/;
  for (const ask of asks(server)) expect(ask).toThrow(outside);
  const client = await peers.sender(server);
  client.tryWrite(Uint8Array.of(1));
  await until(() => late.length === 5);
  const error = expect.objectContaining({ message: expect.stringMatching(outside) });
  expect(late).toEqual([client.local.port, error, error, error, error]);
  expect(late[1]).toBeInstanceOf(TypeError);
  expect([...words]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  await peers.close();
});

each('one link sends to many addresses: by writers, by packets, each in order', async (i) => {
  const peers = new UdpPeers(i);
  const got: number[][] = [];
  const targets: UdpAddress[] = [];
  for (let t = 0; t < 4; t++) {
    const list: number[] = [];
    got.push(list);
    const { local } = await peers.open({
      onMessage: (offset, length) => void list.push(numberOf(peers.pool.bytes, offset, length)),
    });
    targets.push(local);
  }
  const hub = await peers.open({ onMessage() {} });
  const writers = targets.map((to) => hub.writerTo(to, {}));
  for (let n = 0; n < 60; n++) {
    const bytes = numbered(n, 40);
    const message = new Uint8Array(42);
    message[1] = 40;
    message.set(bytes, 2);
    for (const writer of writers) expect(writer.tryWrite(message)).toBe(true);
  }
  hub.flush();
  await until(() => got.every((list) => list.length === 60));
  for (let n = 60; n < 70; n++) {
    for (const to of targets) {
      const id = peers.pool.tryAcquire();
      const offset = peers.pool.offsetOf(id);
      peers.pool.bytes.set(numbered(n, 50), offset);
      expect(hub.trySendRegion(id, offset, 50, to)).toBe(true);
    }
  }
  await until(() => got.every((list) => list.length === 70));
  for (const list of got) expect(list).toEqual(Array.from({ length: 70 }, (_, n) => n));
  await peers.close();
});

each('writers for one address after the other leave nothing behind', async (i) => {
  const peers = new UdpPeers(i);
  let received = 0;
  const targets: UdpAddress[] = [];
  for (let t = 0; t < 3; t++) {
    targets.push((await peers.open({ onMessage: () => void received++ })).local);
  }
  const hub = await peers.open({ onMessage() {} });
  const kept = hub.writerTo(targets[0]);
  let sent = 0;
  // More than the shared flusher has writers.
  for (let n = 0; n < 5000; n += 10) {
    for (let k = 0; k < 10; k++) {
      const writer = hub.writerTo(targets[(n + k) % 3]);
      if (k === 0 && writer.tryWrite(Uint8Array.of(0, 1, 7))) sent++;
      writer.close();
    }
    await until(() => received === sent);
  }
  expect(kept.tryWrite(Uint8Array.of(0, 1, 7))).toBe(true);
  await until(() => received === sent + 1);
  const held = (link: UdpLink): number => link.sender.outbox.addresses.heldCount;
  expect(held(hub)).toBe(1);
  expect(hub.sender.writers.size).toBeLessThanOrEqual(21);
  // Nor does one that goes over to another link.
  const other = await peers.open({ onMessage() {} });
  other.addWriter(kept.id, targets[1]);
  expect([held(hub), held(other)]).toEqual([0, 1]);
  kept.close();
  await until(() => held(other) === 0);
  await peers.close();
});

each('several links share a flusher: the writer’s id says where its messages go', async (i) => {
  const peers = new UdpPeers(i);
  const flusher = WriteFlusher.create(peers.pool, { writerCount: 8 });
  const got: number[][] = [[], []];
  const links: UdpLink[] = [];
  for (const list of got) {
    const server = await peers.open({ onMessage: (_offset, length) => void list.push(length) });
    links.push(await peers.sender(server, { flusher }));
  }
  const extra = new LocalWriter(flusher);
  links[1].addWriter(extra.id);
  links[0].tryWrite(new Uint8Array(1));
  links[1].tryWrite(new Uint8Array(2));
  extra.tryWrite(Uint8Array.of(0, 3, 9, 9, 9));
  extra.flush();
  await until(() => got[0].length === 1 && got[1].length === 2);
  expect(got[0]).toEqual([1]);
  expect(got[1].sort()).toEqual([2, 3]);
  links[1].removeWriter(extra.id);
  extra.close();
  await peers.close();
});

eachOfSystem(
  'multicast reaches every member of the group on this machine',
  async (implementation) => {
    const peers = new UdpPeers(implementation);
    const group = '239.195.7.1';
    const got: number[] = [];
    const first = await peers.open(
      { onMessage: (_offset, length) => void got.push(length) },
      { host: '0.0.0.0', reuseAddress: true },
    );
    const { port } = first.local;
    const second = await peers.open(
      { onMessage: (_offset, length) => void got.push(length) },
      { host: '0.0.0.0', port, reuseAddress: true },
    );
    for (const link of [first, second]) link.join(group, '127.0.0.1');
    const sender = await peers.open({ onMessage() {} }, { host: '0.0.0.0' });
    sender.setMulticastInterface('127.0.0.1');
    sender.setMulticastTtl(0);
    sender.setMulticastLoop(true);
    const writer = sender.writerTo({ host: group, port }, {});
    writer.tryWrite(Uint8Array.of(0, 3, 1, 2, 3));
    sender.flush();
    await until(() => got.length === 2);
    for (const link of [first, second]) link.leave(group, '127.0.0.1');
    expect(() => second.leave(group, '127.0.0.1')).toThrow(/the kernel refused: leave/);
    writer.tryWrite(Uint8Array.of(0, 2, 1, 2));
    sender.flush();
    await until(() => sender.stats().datagramsWritten === 2);
    await settle();
    expect(got).toEqual([3, 3]);
    await peers.close();
  },
);

eachOfSystem(
  'sockets of one port share its datagrams, where there is the shim',
  async (implementation) => {
    const peers = new UdpPeers(implementation);
    const counts = [0, 0];
    const open = (k: number, port: number): Promise<UdpLink> =>
      peers.open({ onMessage: () => void counts[k]++ }, { port, reusePort: true });
    if (implementation === 'dgram') {
      await expect(open(0, 0)).rejects.toMatchObject({ code: 'ERR_BUSBAR_NATIVE_UNAVAILABLE' });
      return peers.close();
    }
    const first = await open(0, 0);
    await open(1, first.local.port);
    for (let n = 0; n < 64; n++) (await peers.sender(first)).tryWrite(Uint8Array.of(n));
    await until(() => counts[0] + counts[1] === 64);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    await peers.close();
  },
);

each('a port that is taken is refused with the system’s reason', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const first = await peers.open({ onMessage() {} });
  const { port } = first.local;
  const error = await peers.open({ onMessage() {} }, { port }).catch((refused) => refused);
  expect(error).toMatchObject({
    code: 'ERR_BUSBAR_LINK_REFUSED',
    cause: { code: 'EADDRINUSE' },
  });
  await peers.close();
});

test('addresses in text and in numbers are the same', () => {
  const address = UdpAddress.of('10.1.2.3', 80);
  expect([...address.words]).toEqual([4, 80, 0x0a010203, 0, 0, 0, 0, 0]);
  expect(`${UdpAddress.from(address.words)}`).toBe('10.1.2.3:80');
  expect(() => UdpAddress.from(new Int32Array(7))).toThrow(/^words must have room for 8 words/);
  expect(() => UdpAddress.from(address.words, 1)).toThrow(/^index must be .* 0 to 0, got 1$/);
});
