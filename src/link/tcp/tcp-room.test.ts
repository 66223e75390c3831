// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { expect, test, vi } from 'vitest';
import {
  collect,
  connectBare,
  connectToIdle,
  fill,
  firstWrong,
  frame,
  ignore,
  listenBare,
  listenFor,
  makePool,
  payloadOf,
  u32,
} from '../../../test/link/tcp-peers.ts';
import { DelimiterCodec } from '../../framer/index.ts';
import type { Packet } from '../../packet/index.ts';
import { TcpLink } from '../index.ts';

// First in this file: an earlier test could have started the one timer of all links by real time.
test('a link that has kept a buffer for packets gives it back once it is quiet', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearTimeout', 'setTimeout'] });
  const pool = makePool();
  const kept: Packet[] = [];
  let seen = (): void => {};
  const { server, port } = await listenFor(pool, {
    handler: (link) => ({
      onFrame() {
        kept.push(link.framer.takePacket());
        seen();
      },
    }),
  });
  const socket = await connectBare(port);
  for (let i = 0; i < 3; i++) {
    const arrived = new Promise<void>((resolve) => {
      seen = resolve;
    });
    socket.write(frame(payloadOf(i)));
    await arrived;
  }
  await new Promise(setImmediate);
  for (const packet of kept) packet.release();
  expect(pool.stats().held).toBe(1);
  vi.advanceTimersByTime(100);
  expect(pool.stats().held).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  socket.destroy();
  await server.close();
  pool.close();
});

test('a quiet link holds no buffer', async () => {
  const pool = makePool();
  const { payloads, arrived, handler } = collect(3);
  const { server, port } = await listenFor(pool, { handler });
  const socket = await connectBare(port);
  for (let i = 0; i < 3; i++) {
    socket.write(frame(payloadOf(i)));
    await new Promise(setImmediate);
  }
  await arrived;
  expect(payloads[2]).toEqual(payloadOf(2));
  await new Promise(setImmediate);
  expect(pool.stats().held).toBe(0);
  socket.destroy();
  await server.close();
  pool.close();
});

test('small packets that are kept share their buffer', async () => {
  const pool = makePool();
  const count = 50;
  const { server, accepted, port } = await listenFor(pool, {
    handler: (link) => ({
      onFrame() {
        kept.push(link.framer.takePacket());
        seen?.();
      },
    }),
  });
  const kept: ReturnType<TcpLink['framer']['takePacket']>[] = [];
  let seen: (() => void) | undefined;
  const socket = await connectBare(port);
  await accepted;
  for (let i = 0; i < count; i++) {
    const arrived = new Promise<void>((resolve) => {
      seen = resolve;
    });
    socket.write(frame(payloadOf(i)));
    await arrived;
  }
  expect(pool.stats().held).toBe(1);
  kept.forEach((packet, i) => {
    expect(packet.bytes.slice()).toEqual(payloadOf(i));
    packet.release();
  });
  socket.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a peer that does not read stops the writer, and gets everything in the end', async () => {
  const pool = makePool(256, 16384);
  const { server, port, accepted } = await listenBare();
  let drained = 0;
  let onDrained: () => void = () => {};
  const link = await TcpLink.connect(pool, {
    port,
    codec: u32,
    highWaterBytes: 128 * 1024,
    handler: () => ({
      onFrame() {},
      onDrained() {
        drained++;
        onDrained();
      },
    }),
  });
  const peer = await accepted;
  const written = await fill(link, frame(new Uint8Array(1000)));
  expect(link.writable).toBe(false);
  expect(link.stats().stalls).toBeGreaterThan(0);
  // In the link up to its high-water mark and one write more; never the whole pool.
  expect(link.stats().queuedBytes).toBeLessThan(128 * 1024 + 2 * 16384);
  expect(link.stats().bytesWritten + link.bufferedBytes).toBe(written);
  expect(pool.stats().held).toBeLessThan(256);
  const again = new Promise<void>((resolve) => {
    onDrained = resolve;
  });
  let received = 0;
  peer.on('data', (chunk) => {
    received += chunk.length;
  });
  await again;
  const ended = once(peer, 'end');
  link.end();
  await ended;
  expect(received).toBe(written);
  expect(drained).toBeGreaterThan(0);
  peer.end();
  await link.close();
  expect(link.error).toBeUndefined();
  expect(pool.stats().held).toBe(0);
  server.close();
  pool.close();
});

test('an exhausted pool pauses the socket, and nothing is lost', async () => {
  const pool = makePool(4, 4096);
  const hoard = [pool.tryAcquire(), pool.tryAcquire(), pool.tryAcquire(), pool.tryAcquire()];
  const count = 5000;
  const { payloads, arrived, handler } = collect(count);
  const { server, accepted, port } = await listenFor(pool, { handler });
  const socket = await connectBare(port);
  socket.write(Buffer.concat(Array.from({ length: count }, (_, i) => frame(payloadOf(i)))));
  const link = await accepted;
  while (link.stats().exhaustions === 0) await new Promise(setImmediate);
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  expect(link.stats().reads).toBe(1);
  expect(payloads.length).toBe(0);
  for (const id of hoard) pool.release(id);
  await arrived;
  expect(firstWrong(payloads)).toBe(-1);
  socket.end();
  await server.close();
  socket.destroy();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('many links that wait for one buffer all get their turn', async () => {
  const pool = makePool(1, 1024);
  const hoard = pool.tryAcquire();
  const links = 20;
  const { payloads, arrived, handler } = collect(links);
  const { server, port } = await listenFor(pool, { handler });
  const sockets = await Promise.all(Array.from({ length: links }, () => connectBare(port)));
  for (const [i, socket] of sockets.entries()) socket.write(frame(payloadOf(i)));
  while (![...server.links].every((link) => link.stats().exhaustions === 1)) {
    await new Promise(setImmediate);
  }
  expect(server.links.size).toBe(links);
  pool.release(hoard);
  await arrived;
  expect(payloads.length).toBe(links);
  for (const socket of sockets) socket.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('pause() during a read leaves the rest of it for resume()', async () => {
  const pool = makePool();
  const seen: number[] = [];
  const { server, accepted, port } = await listenFor(pool, {
    codec: () => new DelimiterCodec('\n'),
    handler: (link) => ({
      onFrame(offset) {
        seen.push(pool.bytes[offset]);
        link.pause();
        paused?.();
      },
    }),
  });
  let paused: (() => void) | undefined;
  const pausing = (): Promise<void> =>
    new Promise((resolve) => {
      paused = resolve;
    });
  const socket = await connectBare(port);
  const link = await accepted;
  const first = pausing();
  socket.write('a\nb\nc\n');
  await first;
  expect(seen).toEqual([0x61]);
  link.resume();
  expect(seen).toEqual([0x61, 0x62]);
  link.resume();
  expect(seen).toEqual([0x61, 0x62, 0x63]);
  link.resume();
  const next = pausing();
  socket.write('d\n');
  await next;
  expect(seen).toEqual([0x61, 0x62, 0x63, 0x64]);
  expect(link.stats().pauses).toBe(4);
  socket.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('flush() makes room in the lane until the peer is the one who is slow', async () => {
  const pool = makePool(256);
  const { server, link, peer } = await connectToIdle(pool, ignore);
  const bytes = frame(new Uint8Array(4000));
  while (link.writer.tryWrite(bytes) || link.flush()) {}
  expect(link.writable).toBe(false);
  expect(link.bufferedBytes).toBeGreaterThanOrEqual(256 * 1024);
  expect(pool.stats().held).toBeLessThan(100);
  link.destroy();
  peer.destroy();
  await link.close();
  expect(link.flush()).toBe(false);
  server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});
