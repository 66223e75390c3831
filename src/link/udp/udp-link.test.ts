// SPDX-License-Identifier: MIT
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { numbered, numberOf } from '../../../test/numbered.ts';
import { settle, until } from '../../../test/turns.ts';
import {
  type Implementation,
  implementations,
  systemSockets,
  UdpPeers,
} from '../../../test/udp-peers.ts';
import type { Packet } from '../../packet/index.ts';
import { LocalWriter, WriteFlusher } from '../../writer/index.ts';
import { UdpAddress, type UdpLink } from '../index.ts';

const ETHERNET_BYTES = 1472;
const UDP_BYTES_MAX = 65_507;

type Run = (implementation: Implementation) => Promise<void>;

/** Every test below runs over the shim, over `node:dgram` and on a loopback network. */
function each(name: string, run: Run, list: readonly Implementation[] = implementations): void {
  for (const implementation of list) {
    const over = implementation === 'auto' ? 'shim' : implementation;
    test(`${name} (${over})`, () => run(implementation));
  }
}

/** Those that only make sense where there is a system. */
function eachOfSystem(name: string, run: Run): void {
  each(name, run, systemSockets);
}

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

/** Counts messages that carry numbers, which must rise. */
class RisingNumbers {
  received = 0;
  #last = -1;
  readonly #peers: UdpPeers;

  constructor(peers: UdpPeers) {
    this.#peers = peers;
  }

  readonly onMessage = (offset: number, length: number): void => {
    const number = numberOf(this.#peers.pool.bytes, offset, length);
    expect(number).toBeGreaterThan(this.#last);
    this.#last = number;
    this.received++;
  };
}

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

each(
  'more than a thousand datagrams of one flush arrive, unless dropped and counted',
  async (i) => {
    const peers = new UdpPeers(i);
    const count = 1500;
    const counter = new RisingNumbers(peers);
    const server = await peers.open(counter, { receiveBytes: 1 << 22 });
    const client = await peers.sender(server, { writer: {}, highWaterBytes: 1 << 24 });
    for (let n = 0; n < count; n++) expect(client.tryWrite(numbered(n, 64))).toBe(true);
    client.flush();
    await until(() => client.stats().datagramsWritten === count);
    await settle();
    const { dropped } = server.stats();
    if (i === 'auto') {
      expect({ received: counter.received, dropped }).toEqual({ received: count, dropped: 0 });
      // 64 datagrams in a message of the kernel's, 64 messages in a call.
      expect(client.stats().writes).toBeLessThan(10);
      expect(server.stats().reads).toBeLessThan(20);
    }
    expect(counter.received).toBeGreaterThan(200);
    await peers.close();
  },
);

each('a burst above the socket’s buffer loses whole datagrams, and spoils none', async (i) => {
  const peers = new UdpPeers(i);
  const count = 3000;
  const counter = new RisingNumbers(peers);
  const server = await peers.open(counter, { receiveBytes: 8192, offload: false });
  const client = await peers.sender(server, { writer: {}, offload: false });
  server.pause();
  for (let n = 0; n < count; n++) {
    const bytes = numbered(n, 8 + (n % 400));
    while (!client.tryWrite(bytes)) {
      client.flush();
      await new Promise(setImmediate);
    }
    if (n % 500 === 499) client.flush();
  }
  client.flush();
  await until(() => client.stats().datagramsWritten === count);
  await settle();
  server.resume();
  await settle();
  const { received } = counter;
  expect(received).toBeLessThan(count);
  expect(received).toBeGreaterThan(10);
  if (i !== 'dgram') expect(received + server.stats().dropped).toBe(count);
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

eachOfSystem('an answer to port 0, as anybody may claim to be, fails no handler', async (i) => {
  const peers = new UdpPeers(i);
  const errors: string[] = [];
  const link = await peers.open({ onMessage() {}, onError: ({ code }) => void errors.push(code) });
  link.writerTo(UdpAddress.of('127.0.0.1', 0)).tryWrite(Uint8Array.of(0, 1, 7));
  await until(() => errors.length === 1);
  expect([errors[0], link.closed]).toEqual(['ERR_BUSBAR_DATAGRAM_FAILED', false]);
  await peers.close();
});

eachOfSystem(
  'a pool without buffers leaves datagrams in the system, and goes on later',
  async (i) => {
    const peers = new UdpPeers(i, 12);
    const { pool } = peers;
    const kept: Packet[] = [];
    const count = 40;
    const server = await peers.open({ onPacket: (packet) => void kept.push(packet) });
    const client = await peers.sender(server);
    for (let n = 0; n < 3; n++) client.tryWrite(numbered(n, 5000));
    await until(() => kept.length === 3);
    const taken = [];
    for (let id = pool.tryAcquire(); id >= 0; id = pool.tryAcquire()) taken.push(id);
    const socket = createSocket('udp4');
    for (let n = 3; n < 10; n++) socket.send(numbered(n, 5000), server.local.port, '127.0.0.1');
    await until(() => server.stats().exhaustions > 0);
    expect(kept.length).toBe(3);
    for (const id of taken) pool.release(id);
    await until(() => kept.length === 10);
    for (const packet of kept.splice(0)) packet.release();
    for (let n = 10; n < count; n++) {
      socket.send(numbered(n, 5000), server.local.port, '127.0.0.1');
      await until(() => kept.length === 1);
      expect(numberOf(pool.bytes, kept[0].offset, kept[0].length)).toBe(n);
      kept.pop()?.release();
    }
    expect(server.stats()).toMatchObject({ datagramsRead: count, dropped: 0 });
    socket.close();
    await peers.close();
  },
);

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

each('a socket without room stops the writers, and starts them again', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const count = 3000;
  let drained = 0;
  const server = await peers.open({ onMessage() {} });
  const { host, port } = server.local;
  const client = await peers.open(
    { onMessage() {}, onDrained: () => void drained++ },
    {
      peer: { host, port },
      writer: {},
      highWaterBytes: 4096,
      // On a loopback network the sender waits while so much is under way.
      ...(implementation === 'loopback' ? { sendBytes: 8192 } : {}),
    },
  );
  let notNow = 0;
  for (let n = 0; n < count; ) {
    if (client.tryWrite(numbered(n, 300))) {
      n++;
      if (n % 100 === 0) client.flush();
      continue;
    }
    notNow++;
    expect(client.flush()).toBe(client.writable);
    await new Promise(setImmediate);
  }
  client.flush();
  await until(() => client.writable);
  await client.close();
  const { datagramsWritten, lostBytes, stalls } = client.stats();
  expect({ datagramsWritten, lostBytes }).toEqual({ datagramsWritten: count, lostBytes: 0 });
  // The kernel's loopback always has room; what Node has not sent yet is bounded.
  if (implementation !== 'auto') expect(Math.min(stalls, drained, notNow)).toBeGreaterThan(0);
  await peers.close();
});

each('pause stops within a batch, and resume goes on behind it', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const count = 300;
  const got: number[] = [];
  const server = await peers.open(
    (link) => ({
      onMessage(offset, length) {
        got.push(numberOf(peers.pool.bytes, offset, length));
        if (got.length % 7 === 0) link.pause();
      },
    }),
    { receiveBytes: 1 << 20 },
  );
  const client = await peers.sender(server);
  for (let n = 0; n < count; n++) expect(client.tryWrite(numbered(n, 64))).toBe(true);
  while (got.length < count) {
    await until(() => server.paused || got.length === count);
    await settle();
    expect(got.length === count || got.length % 7 === 0).toBe(true);
    server.resume();
  }
  expect(got).toEqual(Array.from({ length: count }, (_, n) => n));
  expect(server.stats().pauses).toBe(Math.floor(count / 7));
  await peers.close();
});

each('packets keep their bytes until they are released', async (implementation) => {
  const peers = new UdpPeers(implementation, 24);
  const kept: Packet[] = [];
  const server = await peers.open(
    { onPacket: (packet) => void kept.push(packet) },
    { receiveBytes: 1 << 20 },
  );
  const client = await peers.sender(server);
  for (let round = 0; round < 30; round++) {
    for (let n = 0; n < 100; n++) expect(client.tryWrite(numbered(n, 64))).toBe(true);
    await until(() => kept.length === 100);
    for (const [n, packet] of kept.entries()) {
      expect(numberOf(peers.pool.bytes, packet.offset, packet.length)).toBe(n);
    }
    for (const packet of kept.splice(0)) packet.release();
  }
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

each('close sends what was written; destroy and abort count it as lost', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const got: number[] = [];
  const server = await peers.open({ onMessage: (_offset, length) => void got.push(length) });
  const closing = await peers.sender(server, { writer: {} });
  closing.tryWrite(new Uint8Array(10));
  await closing.close();
  await closing.close();
  await until(() => got.length === 1);
  const destroyed = await peers.sender(server, { writer: {} });
  destroyed.tryWrite(new Uint8Array(20));
  destroyed.destroy();
  expect(destroyed.stats()).toMatchObject({ lostDatagrams: 1, lostBytes: 20 });
  expect(() => destroyed.addWriter(0)).toThrow(/the link was closed/);
  const controller = new AbortController();
  const errors: unknown[] = [];
  const { host, port } = server.local;
  const aborted = await peers.open(
    { onMessage() {}, onClose: (_link, error) => void errors.push(error?.code) },
    { peer: { host, port }, signal: controller.signal },
  );
  controller.abort();
  await until(() => errors.length === 1);
  expect(errors).toEqual(['ERR_BUSBAR_LINK_CLOSED']);
  expect(aborted.closed).toBe(true);
  await expect(peers.sender(server, { signal: controller.signal })).rejects.toThrow(/abort/i);
  expect(got).toEqual([10]);
  await peers.close();
});

each('close sends what was committed behind an open reservation, which it ends', async (i) => {
  const peers = new UdpPeers(i);
  let received = 0;
  const server = await peers.open({ onMessage: () => void received++ });
  const client = await peers.sender(server);
  expect(client.writer.tryReserve(10)).toBeGreaterThanOrEqual(0);
  expect(client.tryWrite(numbered(0, 20))).toBe(true);
  await client.close();
  expect(client.stats()).toMatchObject({ datagramsWritten: 1, lostBytes: 0 });
  await until(() => received === 1);
  await peers.close();
});

each(
  'what the system refuses counts as lost, not as written',
  async (i) => {
    const peers = new UdpPeers(i);
    const errors: string[] = [];
    const link = await peers.open({
      onMessage() {},
      onError: ({ code }) => void errors.push(code),
    });
    const to = UdpAddress.of('255.255.255.255', 9); // not allowed without `broadcast`
    const id = peers.pool.tryAcquire();
    expect(link.trySendRegion(id, peers.pool.offsetOf(id), 30, to)).toBe(true);
    await until(() => errors.length === 1);
    expect(errors).toEqual(['ERR_BUSBAR_DATAGRAM_FAILED']);
    expect(link.stats()).toMatchObject({
      ...{ datagramsWritten: 0, bytesWritten: 0, lostDatagrams: 1, lostBytes: 30 },
    });
    await peers.close();
  },
  systemSockets,
);

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

each('a link that is closed by its own handler delivers no more', async (implementation) => {
  const peers = new UdpPeers(implementation);
  let count = 0;
  const server = await peers.open((link) => ({
    onMessage() {
      if (++count === 5) link.destroy();
    },
  }));
  const client = await peers.sender(server);
  for (let n = 0; n < 100; n++) client.tryWrite(numbered(n, 64));
  await until(() => server.closed);
  await settle();
  expect(count).toBe(5);
  await peers.close();
});

each('what a handler throws closes the link and is thrown on', async (implementation) => {
  const peers = new UdpPeers(implementation);
  const errors: unknown[] = [];
  const server = await peers.open({
    onMessage() {
      throw new Error('not today');
    },
    onClose: (_link, error) => void errors.push(error?.cause),
  });
  server.pause();
  const client = await peers.sender(server);
  const others = process.listeners('uncaughtException');
  for (const one of others) process.off('uncaughtException', one);
  const thrown = once(process, 'uncaughtException');
  client.tryWrite(new Uint8Array(9));
  server.resume();
  const [error] = await thrown;
  for (const one of others) process.on('uncaughtException', one);
  expect((error as Error).message).toBe('not today');
  await until(() => errors.length === 1);
  expect(errors[0]).toBe(error);
  await peers.close();
});

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

test('addresses in text and in numbers are the same', () => {
  const address = UdpAddress.of('10.1.2.3', 80);
  expect([...address.words]).toEqual([4, 80, 0x0a010203, 0, 0, 0, 0, 0]);
  expect(`${UdpAddress.from(address.words)}`).toBe('10.1.2.3:80');
  expect(() => UdpAddress.from(new Int32Array(7))).toThrow(/^words must have room for 8 words/);
  expect(() => UdpAddress.from(address.words, 1)).toThrow(/^index must be .* 0 to 0, got 1$/);
});
