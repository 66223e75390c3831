// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DIRECT } from '../../../test/direct.ts';
import { until } from '../../../test/turns.ts';
import { DelimiterCodec } from '../../framer/index.ts';
import { Packet } from '../../packet/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { type TcpHandler, TcpLink, TcpServer } from '../index.ts';

const line = (): DelimiterCodec => new DelimiterCodec('\n');
const text = new TextEncoder();

function makePool(): BufferPool {
  return BufferPool.create({ bufferSize: 4096, bufferCount: 64, maxThreads: 2 });
}

/** Answers each line with itself. */
function echoLines(link: TcpLink): TcpHandler {
  return {
    onFrame(offset, length) {
      link.writer.tryWrite(link.pool.bytes, offset, offset + length + 1);
    },
  };
}

/** A handler that resolves `line` with the first line. */
function firstLine() {
  let resolve: (text: string) => void = () => {};
  const arrived = new Promise<string>((done) => {
    resolve = done;
  });
  const handler = (link: TcpLink): TcpHandler => ({
    onFrame: () => resolve(link.framer.takePacket().toString()),
  });
  return { arrived, handler };
}

async function connectBare(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  return socket;
}

test('a server listens on a port of its own and closes every link with it', async () => {
  const pool = makePool();
  const server = await TcpServer.listen(pool, { codec: line, handler: echoLines });
  expect(server.port).toBeGreaterThan(0);
  expect(server.host).toBe('127.0.0.1');
  const sockets = [await connectBare(server.port), await connectBare(server.port)];
  const answers: string[] = [];
  for (const [i, socket] of sockets.entries()) {
    socket.write(`line ${i}\n`);
    answers.push(String((await once(socket, 'data'))[0]));
  }
  expect(answers).toEqual(['line 0\n', 'line 1\n']);
  expect(server.links.size).toBe(2);
  const ended = sockets.map((socket) => once(socket, 'close'));
  await server.close();
  await Promise.all(ended);
  expect(server.links.size).toBe(0);
  expect(server.port).toBe(0);
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a server that stops listening refuses who comes, and keeps its links', async () => {
  const pool = makePool();
  const server = await TcpServer.listen(pool, { codec: line, handler: echoLines });
  const { port } = server;
  const socket = await connectBare(port);
  await until(() => server.links.size === 1);
  server.stopListening();
  const late = connect({ port, host: '127.0.0.1' });
  expect((await once(late, 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' });
  socket.write('still here\n');
  expect(String((await once(socket, 'data'))[0])).toBe('still here\n');
  server.stopListening();
  const closed = once(socket, 'close');
  socket.resume();
  await server.close();
  await closed;
  expect(server.links.size).toBe(0);
  pool.close();
});

test('a Unix socket does as well as a port', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'busbar-'));
  const path = join(folder, 'socket');
  const pool = makePool();
  const server = await TcpServer.listen(pool, { path, codec: line, handler: echoLines });
  expect([server.host, server.port]).toEqual([path, 0]);
  const { arrived, handler } = firstLine();
  const client = await TcpLink.connect(pool, { path, codec: line, handler, directReadBytes: 0 });
  expect(client.ingest).toBe(DIRECT);
  client.writer.tryWrite(text.encode('over a path\n'));
  expect(await arrived).toBe('over a path');
  await client.close();
  await server.close();
  rmSync(folder, { recursive: true });
});

test('a port that is taken is refused with the system’s reason', async () => {
  const pool = makePool();
  const options = { codec: line, handler: echoLines };
  const first = await TcpServer.listen(pool, options);
  const error = await TcpServer.listen(pool, { ...options, port: first.port }).catch((e) => e);
  expect(error.code).toBe('ERR_BUSBAR_LINK_REFUSED');
  expect(error.cause.code).toBe('EADDRINUSE');
  await first.close();
  pool.close();
});

test('a link that begins to end leaves links at once; stats and close still know it', async () => {
  const pool = makePool();
  const options = { codec: line, handler: echoLines, onError: () => {} };
  const server = await TcpServer.listen(pool, options);
  const sockets: Socket[] = [];
  for (let i = 0; i < 6; i++) {
    const socket = await connectBare(server.port);
    sockets.push(socket);
    socket.on('error', () => {});
    socket.write('12\n');
    expect(String(await once(socket, 'data'))).toBe('12\n');
  }
  const [destroyed, ended, closed, left, failed, kept] = [...server.links];
  const before = server.stats();
  expect([before.bytesRead, before.bytesWritten]).toEqual([18, 18]);
  let closing = Promise.resolve();
  const met: TcpLink[] = [];
  for (const link of server.links) {
    met.push(link);
    expect(link.tryWrite('34')).toBe(true);
    if (link !== destroyed) continue;
    destroyed.destroy();
    ended?.end();
    closing = closed?.close() ?? closing;
    expect([destroyed.closed, ended?.closed, closed?.closed]).toEqual([false, false, false]);
    // What `end` and `close` promise is still sent.
    expect(() => ended?.tryWrite('56')).toThrow('the writer was closed');
  }
  expect(met).toEqual([destroyed, left, failed, kept]);
  expect([...server.links]).toEqual([left, failed, kept]);
  expect(server.stats()).toMatchObject({ links: 3, bytesRead: 18 });
  sockets[3]?.end();
  await until(() => server.links.size === 2);
  sockets[4]?.resetAndDestroy();
  await until(() => server.links.size === 1);
  expect([...server.links]).toEqual([kept]);
  for (const socket of sockets) socket.resume();
  // One waits for its peer's end: server.close waits for it, too.
  const waits = server.close();
  sockets[1]?.end();
  await Promise.all([closing, waits]);
  expect([destroyed, ended, closed, left, failed, kept].map((link) => link?.closed)).toEqual(
    Array(6).fill(true),
  );
  expect(server.stats()).toMatchObject({ links: 0, bytesRead: 18, queuedBytes: 0, failed: 1 });
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('destroy also ends links that were ending, and a handler may end its own', async () => {
  const pool = makePool();
  const links: TcpLink[] = [];
  const server = await TcpServer.listen(pool, {
    codec: line,
    handler: (link) => {
      if (links.push(link) === 2) link.end();
      return { onFrame() {} };
    },
  });
  const sockets = [
    connect({ port: server.port, allowHalfOpen: true }),
    connect({ port: server.port, allowHalfOpen: true }),
  ];
  for (const socket of sockets) socket.on('error', () => {}).resume();
  await until(() => links.length === 2);
  expect([...server.links]).toEqual([links[0]]);
  links[0]?.end();
  expect([server.links.size, server.stats().links]).toEqual([0, 0]);
  expect(links.map((link) => link.closed)).toEqual([false, false]);
  server.destroy();
  await until(() => links.every((link) => link.closed));
  for (const socket of sockets) socket.destroy();
  await server.close();
  pool.close();
});

test('connections beyond maxLinks are closed', async () => {
  const pool = makePool();
  const server = await TcpServer.listen(pool, { codec: line, handler: echoLines, maxLinks: 1 });
  const first = await connectBare(server.port);
  first.write('a\n');
  await once(first, 'data');
  const second = await connectBare(server.port);
  second.resume();
  await once(second, 'close');
  expect(server.links.size).toBe(1);
  first.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a connection that cannot become a link is closed, and the next one is served', async () => {
  const pool = makePool();
  const errors: Error[] = [];
  let calls = 0;
  const server = await TcpServer.listen(pool, {
    codec: line,
    onError: (error) => errors.push(error),
    handler: (link) => {
      if (calls++ === 0) throw new Error('not today');
      return echoLines(link);
    },
  });
  const first = await connectBare(server.port);
  first.on('error', () => {});
  first.resume();
  await once(first, 'close');
  expect(errors.map((error) => error.message)).toEqual(['not today']);
  const second = await connectBare(server.port);
  second.write('b\n');
  expect(String((await once(second, 'data'))[0])).toBe('b\n');
  second.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a signal stops the server and its links at once', async () => {
  const pool = makePool();
  const controller = new AbortController();
  const { signal } = controller;
  const server = await TcpServer.listen(pool, { codec: line, handler: echoLines, signal });
  const socket = await connectBare(server.port);
  socket.write('a\n');
  await once(socket, 'data');
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  controller.abort();
  await closed;
  await server.close();
  expect(server.links.size).toBe(0);
  await expect(TcpServer.listen(pool, { codec: line, handler: echoLines, signal })).rejects.toThrow(
    /abort/i,
  );
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('wrong options are named', async () => {
  const pool = makePool();
  const options = { codec: line, handler: echoLines };
  const listen = (more: object) => TcpServer.listen(pool, { ...options, ...more });
  await expect(listen({ port: 70_000 })).rejects.toThrow(/port must be .* got 70000/);
  await expect(listen({ port: 1, path: 'x' })).rejects.toThrow(/port and path/);
  await expect(listen({ maxLinks: 0 })).rejects.toThrow(/maxLinks/);
  await expect(listen({ ingest: 'magic' })).rejects.toThrow(/ingest must be one of direct, copy/);
  await expect(listen({ prot: 1 })).rejects.toThrow(/"prot"/);
  await expect(listen({ lowWaterBytes: 9, highWaterBytes: 8 })).rejects.toThrow(/lowWaterBytes/);
  pool.close();
});

test('a file descriptor that is no listening socket is refused', async () => {
  const pool = makePool();
  const options = { codec: line, handler: echoLines };
  await expect(TcpServer.listen(pool, { ...options, fd: 99_999 })).rejects.toMatchObject({
    code: 'ERR_BUSBAR_LINK_REFUSED',
  });
  await expect(TcpServer.listen(pool, { ...options, fd: -1 })).rejects.toThrow(/^fd must be/);
  await expect(TcpServer.listen(pool, { ...options, fd: 3, port: 1 })).rejects.toThrow(/fd/);
  await expect(TcpServer.listen(pool, { ...options, fd: 3, path: 'x' })).rejects.toThrow(/fd/);
});

test('a signal that aborts while a server begins to listen refuses it', async () => {
  const pool = makePool();
  const controller = new AbortController();
  const { signal } = controller;
  const handler = (): TcpHandler => ({ onFrame() {} });
  const listening = TcpServer.listen(pool, { codec: line, handler, signal });
  controller.abort(new Error('no'));
  await expect(listening).rejects.toThrow('no');
  pool.close();
});

test('a link that is quiet after much has come holds no buffer', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 2, maxThreads: 2 });
  let received = 0;
  const server = await TcpServer.listen(pool, {
    codec: line,
    handler: () => ({
      onFrame(_offset, length) {
        received += length + 1;
      },
    }),
  });
  const peers = await Promise.all([0, 1, 2].map(() => connectBare(server.port)));
  let sent = 0;
  // More than `directReadBytes`, by each of more links than there are buffers.
  for (let round = 0; round < 5; round++) {
    for (const peer of peers) {
      for (const length of [600, 256, 1000, 10]) {
        peer.write(`${'x'.repeat(length - 1)}\n`);
        sent += length;
        await until(() => received === sent);
      }
      await until(() => pool.stats().held === 0);
    }
  }
  for (const link of server.links) expect(link.stats().exhaustions).toBe(0);
  for (const peer of peers) peer.destroy();
  await server.close();
});

test('a packet finds room behind what fills the lane', async () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 64, maxThreads: 2 });
  const server = await TcpServer.listen(pool, {
    codec: line,
    writer: { flush: 'manual' },
    handler: () => ({ onFrame() {} }),
  });
  const peer = await connectBare(server.port);
  let got = '';
  peer.on('data', (chunk) => {
    got += chunk;
  });
  await until(() => server.links.size === 1);
  const [link] = server.links;
  let written = 0;
  while (link.writer.tryWrite(text.encode('written\n'))) {
    written++;
    link.writer.flush();
  }
  const packet = Packet.tryFrom(pool, text.encode('packet\n')) as Packet;
  expect(link.trySend(packet)).toBe(true);
  const all = `${'written\n'.repeat(written)}packet\n`;
  await until(() => got.length === all.length);
  expect(got).toBe(all);
  peer.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a packet goes to many links by reference, behind what was written before', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 12, maxThreads: 2 });
  const server = await TcpServer.listen(pool, { codec: line, handler: () => ({ onFrame() {} }) });
  const got: string[] = [];
  const peers: Socket[] = [];
  for (let i = 0; i < 20; i++) {
    const peer = await connectBare(server.port);
    got.push('');
    peer.on('data', (chunk) => {
      got[i] += chunk;
    });
    peers.push(peer);
  }
  await until(() => server.links.size === peers.length);
  const [first] = server.links;
  expect(first.writer.tryWrite(text.encode('before\n'))).toBe(true);
  // One buffer for all of them.
  const packet = Packet.tryFrom(pool, text.encode('to all\n')) as Packet;
  for (const link of server.links) expect(link.trySend(packet.clone())).toBe(true);
  packet.release();
  expect(first.writer.tryWrite(text.encode('after\n'))).toBe(true);
  await until(() => got.every((all) => all.includes('to all\n')) && got.join('').includes('after'));
  expect(got.toSorted().slice(1)).toEqual(new Array(19).fill('to all\n'));
  expect(got.toSorted()[0]).toBe('before\nto all\nafter\n');
  await until(() => pool.stats().held === 0);
  // Behind a reservation that is open there is no way past; nor when it is closed.
  const at = first.writer.tryReserve(5);
  first.writer.tryWrite(text.encode('behind\n'));
  const late = Packet.tryFrom(pool, text.encode('late\n')) as Packet;
  expect(first.trySend(late)).toBe(false);
  first.writer.abort(at);
  expect(first.trySend(late)).toBe(true);
  expect(() => first.trySend(late)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_PACKET_RELEASED' }),
  );
  expect(() => first.trySend({ pool } as Packet)).toThrow(/packet must be a Packet/);
  const rest = Packet.tryFrom(pool, text.encode('rest\n')) as Packet;
  expect(() => first.trySendRegion(rest.bufferId, rest.offset, 2000)).toThrow(RangeError);
  first.end();
  expect(() => first.trySend(rest)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_LINK_CLOSED' }),
  );
  rest.release();
  await until(() => got.join('').includes('behind\nlate\n'));
  for (const peer of peers) peer.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});
