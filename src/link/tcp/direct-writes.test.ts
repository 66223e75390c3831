// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { LengthPrefixCodec } from '../../framer/index.ts';
import { native } from '../../native/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { TcpLink, TcpServer } from '../index.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
const ignore = () => ({ onFrame() {} });
/** Whether plain sockets are written to past their stream here. */
const direct = native.features.socketWrites.available;
/** A socket with an idle timer is not passed: so the stream's way can be had with the shim, too. */
const IDLE_MS = 2 ** 30;

/** A link whose peer does not read, and what it has accepted. */
async function stuck(pool: BufferPool, byStream: boolean, highWaterBytes = 128 * 1024) {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  let close: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  const link = await TcpLink.connect(pool, {
    port: (server.address() as { port: number }).port,
    codec,
    highWaterBytes,
    handler: () => ({ onFrame() {}, onClose: () => close() }),
  });
  if (byStream) (link.socket as Socket).setTimeout(IDLE_MS);
  const [peer] = (await accepted) as [Socket];
  server.close();
  // Each message is its number, again and again: whatever is lost, doubled or swapped shows.
  const message = Buffer.alloc(4000);
  let count = 0;
  const write = (): boolean => {
    for (let at = 0; at < message.length; at += 4) message.writeUInt32BE(count, at);
    if (!link.writer.tryWrite(message)) return false;
    count++;
    return true;
  };
  for (let still = 0; still < 50; still++) {
    while (write()) still = 0;
    await new Promise(setImmediate);
  }
  return { link, peer, closed, message, accepted: () => count * message.length };
}

test.each([[true], [false]])(
  'what the system does not take at once follows in its order (by the stream alone: %s)',
  async (byStream) => {
    const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 256, maxThreads: 2 });
    const { link, peer, accepted, message } = await stuck(pool, byStream);
    const { writes, directWrites } = link.stats();
    expect(directWrites > 0).toBe(direct && !byStream);
    expect(writes).toBeGreaterThan(directWrites);
    expect(link.bufferedBytes).toBeGreaterThan(0);
    const chunks: Buffer[] = [];
    peer.on('data', (chunk) => chunks.push(chunk)).resume();
    const ended = once(peer, 'end');
    link.end();
    await ended;
    const bytes = Buffer.concat(chunks);
    expect(bytes.length).toBe(accepted());
    let wrong = 0;
    for (let at = 0; at < bytes.length; at += 4) {
      if (bytes.readUInt32BE(at) !== Math.floor(at / message.length)) wrong++;
    }
    expect(wrong).toBe(0);
    peer.end();
    await link.close();
    expect(link.stats()).toMatchObject({ lostBytes: 0, bytesWritten: accepted() });
    expect(pool.stats().held).toBe(0);
    pool.close();
  },
);

test.each([[true], [false]])(
  'a peer reset in mid-write: what was accepted was written or is told as lost (stream: %s)',
  async (byStream) => {
    const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 256, maxThreads: 2 });
    const { link, peer, closed, accepted } = await stuck(pool, byStream);
    const before = link.stats().bytesWritten;
    peer.resetAndDestroy();
    await closed;
    const { bytesWritten, lostBytes, queuedBytes } = link.stats();
    expect(link.error).toMatchObject({
      code: 'ERR_BUSBAR_LINK_FAILED',
      cause: { code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) },
    });
    expect(queuedBytes).toBe(0);
    expect(bytesWritten).toBeGreaterThanOrEqual(before);
    expect(lostBytes).toBeGreaterThan(0);
    expect(bytesWritten + lostBytes).toBe(accepted());
    expect(pool.stats().held).toBe(0);
    pool.close();
  },
);

test('a reset that the write is the first to see fails the link, and no other', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64, maxThreads: 2 });
  const server = await TcpServer.listen(pool, { codec, handler: ignore });
  const peers = [0, 1].map(() => connect({ port: server.port, host: '127.0.0.1' }));
  for (const peer of peers) if (peer.connecting) await once(peer, 'connect');
  while (server.links.size < 2) await new Promise(setImmediate);
  const [bad, good] = [...server.links].sort(
    (a, b) => Number(isOf(b, peers[0])) - Number(isOf(a, peers[0])),
  );
  // Not reading: only a write can find out.
  for (const link of [bad, good]) link.pause();
  await new Promise(setImmediate);
  peers[0].resetAndDestroy();
  let accepted = 0;
  let sent = 0;
  const message = new Uint8Array(100);
  while (bad.error === undefined) {
    if (!bad.writer.closed && bad.writer.tryWrite(message)) accepted += 100;
    if (good.writer.tryWrite(message)) sent += 100;
    await new Promise(setImmediate);
  }
  expect(bad.error).toMatchObject({
    code: 'ERR_BUSBAR_LINK_FAILED',
    cause: { code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/), syscall: expect.any(String) },
  });
  await bad.close();
  const { bytesWritten, lostBytes } = bad.stats();
  expect(bytesWritten + lostBytes).toBe(accepted);
  let received = 0;
  peers[1].on('data', (chunk) => {
    received += chunk.length;
  });
  await server.close();
  expect(received).toBe(sent);
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test.each([[true], [false]])(
  'what is destroyed with a link is told as lost (stream: %s)',
  async (byStream) => {
    const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64, maxThreads: 2 });
    const { link, peer, accepted, closed } = await stuck(pool, byStream, 16 * 1024);
    let received = 0;
    peer.on('data', (chunk) => {
      received += chunk.length;
    });
    const before = link.stats().bytesWritten;
    link.destroy();
    await closed;
    expect(link.stats().bytesWritten).toBe(before);
    expect(before + link.stats().lostBytes).toBe(accepted());
    const ended = once(peer, 'end').catch(() => {});
    peer.resume();
    await ended;
    // A write of the stream that was under way counts as lost, though a part of it may have left.
    expect(received).toBeGreaterThanOrEqual(before);
    expect(received).toBeLessThan(accepted());
    peer.destroy();
    expect(pool.stats().held).toBe(0);
    pool.close();
  },
);

test('a socket adopted while it tries two addresses is written to where it arrived', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 16, maxThreads: 2 });
  const servers = [createServer(), createServer()];
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
  const [port, otherPort] = servers.map((server) => (server.address() as { port: number }).port);
  const addresses = ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }));
  // Nobody listens at the first address. The second try has another descriptor, because a lower
  // one is free by then; where some other thread was quicker, we try again.
  for (let moved = false; !moved; ) {
    const low = openSync('/dev/null', 'r');
    const socket = connect({
      port,
      host: 'two.addresses',
      autoSelectFamily: true,
      lookup: (_host, _options, callback) => callback(null, addresses),
    });
    const first = descriptorOf(socket);
    const link = TcpLink.adopt(pool, socket, { codec, handler: ignore });
    closeSync(low);
    const [[peer]] = (await Promise.all([
      once(servers[0], 'connection'),
      once(socket, 'connect'),
    ])) as [[Socket], unknown];
    moved = first > 0 && descriptorOf(socket) !== first;
    // Most likely takes the first descriptor over.
    const other = connect(otherPort, '127.0.0.1');
    const [otherPeer] = (await once(servers[1], 'connection')) as [Socket];
    const strays: Buffer[] = [];
    otherPeer.on('data', (chunk) => strays.push(chunk));
    const received = once(peer, 'data');
    link.writer.tryWrite(Buffer.from('to the second address'));
    expect(String(await received)).toBe('to the second address');
    expect(link.stats().directWrites).toBe(direct ? 1 : 0);
    otherPeer.destroy();
    other.destroy();
    peer.destroy();
    await link.close();
    expect(strays).toEqual([]);
  }
  for (const server of servers) server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('1000 connections get one batch each turn, and every buffer comes back', async () => {
  const connections = 1000;
  const turns = 5;
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: connections, maxThreads: 2 });
  const server = await TcpServer.listen(pool, { codec, handler: ignore });
  const frames: number[] = new Array(connections).fill(0);
  const peers: Socket[] = [];
  while (peers.length < connections) {
    const opened = Array.from({ length: 100 }, () => connect(server.port, '127.0.0.1'));
    await Promise.all(opened.map((peer) => once(peer, 'connect')));
    peers.push(...opened);
  }
  while (server.links.size < connections) await new Promise(setImmediate);
  let bytes = 0;
  let arrived: () => void = () => {};
  for (const [i, peer] of peers.entries()) {
    peer.on('data', (chunk) => {
      frames[i] += chunk.length;
      bytes += chunk.length;
      if (bytes % (connections * 64) === 0) arrived();
    });
  }
  const message = new Uint8Array(64);
  for (let turn = 1; turn <= turns; turn++) {
    const all = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    for (const { writer } of server.links) expect(writer.tryWrite(message)).toBe(true);
    await all;
  }
  expect(new Set(frames)).toEqual(new Set([turns * 64]));
  for (const link of server.links) {
    expect(link.stats()).toMatchObject({
      bytesWritten: turns * 64,
      directWrites: direct ? turns : 0,
      writes: turns,
    });
  }
  // Quiet links hold nothing.
  await new Promise(setImmediate);
  expect(pool.stats().held).toBe(0);
  await server.close();
  expect(server.links.size).toBe(0);
  expect(pool.stats().held).toBe(0);
  pool.close();
});

function descriptorOf(socket: Socket): number {
  return (socket as unknown as { readonly _handle?: { readonly fd: number } })._handle?.fd ?? -1;
}

function isOf(link: TcpLink, peer: Socket): boolean {
  return link.socket instanceof Socket && link.socket.remotePort === peer.localPort;
}
