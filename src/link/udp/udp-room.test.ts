// SPDX-License-Identifier: MIT
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect } from 'vitest';
import { numbered, numberOf } from '../../../test/numbered.ts';
import { settle, until } from '../../../test/turns.ts';
import { each, eachOfSystem, systemSockets, UdpPeers } from '../../../test/udp-peers.ts';
import type { Packet } from '../../packet/index.ts';
import { UdpAddress } from '../index.ts';

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
