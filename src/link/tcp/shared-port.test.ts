// SPDX-License-Identifier: MIT
/** A port at which several threads accept connections; here one thread plays them all. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { FixedCodec } from '../../framer/index.ts';
import { native } from '../../native/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { listenAlone } from './port-claim.ts';
import { PortForwarder } from './port-forwarder.ts';
import { type SharedPlace, SharedPort } from './shared-port.ts';
import { TcpServer } from './tcp-server.ts';

const isShared = native.features.reusePort.available;
const open: { destroy(): void }[] = [];

afterEach(() => {
  for (const each of open.splice(0)) each.destroy();
});

/** A thread that sends each byte back, with its own number before it. */
async function serve(pool: BufferPool, place: SharedPlace, index: number): Promise<TcpServer> {
  const server = await TcpServer.listen(pool, {
    ...place,
    codec: () => new FixedCodec(1),
    handler: (link) => ({
      onFrame(offset: number) {
        link.writer.tryWrite(Uint8Array.of(index, pool.bytes[offset]));
      },
    }),
  });
  open.push(server);
  return server;
}

/** The number of the thread that replies to a new connection. */
async function ask(port: number): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write(Uint8Array.of(77));
  const bytes: number[] = [];
  for await (const chunk of socket) {
    bytes.push(...(chunk as Uint8Array));
    if (bytes.length === 2) break;
  }
  socket.destroy();
  expect(bytes[1]).toBe(77);
  return bytes[0];
}

test('both threads accept at one port, and one serves it when the other has ended', async () => {
  const port = await SharedPort.claim();
  open.push(port);
  expect(port.handle).toEqual({ host: '127.0.0.1', port: port.port, isShared });
  expect(port.forwarded === '').toBe(isShared);
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 64 });
  const handle = structuredClone(port.handle);
  const places = [0, 1].map(() => SharedPort.placeOf(handle));
  const servers = await Promise.all(places.map((place, index) => serve(pool, place, index)));
  for (const [index, place] of places.entries()) port.opened(index, place);
  port.release();
  const seen = new Set<number>();
  while (seen.size < 2) seen.add(await ask(port.port));
  servers[0].destroy();
  port.closed(0);
  for (let i = 0; i < 5; i++) expect(await ask(port.port)).toBe(1);
  await port.close();
});

test('a port that another program listens at is refused, and so is an unknown host', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  const refused = { code: 'ERR_BUSBAR_LINK_REFUSED' };
  await expect(SharedPort.claim({ port })).rejects.toMatchObject({
    ...refused,
    cause: { code: 'EADDRINUSE' },
  });
  await expect(SharedPort.claim({ host: 'no.such.invalid' })).rejects.toMatchObject(refused);
  other.close();
});

test('who claims a port makes others wait until it is released, or is the only one', async () => {
  if (!isShared) {
    const only = await SharedPort.claim();
    const another = SharedPort.claim({ port: only.port });
    await expect(another).rejects.toMatchObject({ code: 'ERR_BUSBAR_LINK_REFUSED' });
    await only.close();
    return;
  }
  const { port } = await SharedPort.claim();
  const first = await SharedPort.claim({ port });
  const second = SharedPort.claim({ port });
  const order: string[] = [];
  const waiting = second.then(() => order.push('second'));
  // It has to look at the port at least.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  order.push('first');
  first.release();
  await waiting;
  expect(order).toEqual(['first', 'second']);
  (await second).release();
});

test('wrong arguments are refused by name', async () => {
  const bad = (value: unknown): never => value as never;
  expect(() => new (SharedPort as never as new () => unknown)()).toThrow(/SharedPort.claim/);
  await expect(SharedPort.claim({ port: -1 })).rejects.toThrow(/^port must/);
  await expect(SharedPort.claim({ host: bad(7) })).rejects.toThrow(/^host must/);
  await expect(SharedPort.claim(bad({ hots: '::1' }))).rejects.toThrow(/hots/);
  expect(() => SharedPort.placeOf(bad(null))).toThrow(/^handle must/);
  expect(() => SharedPort.placeOf(bad({}))).toThrow(/^handle.isShared must/);
  const port = await SharedPort.claim();
  expect(() => port.opened(-1, { path: 'x' })).toThrow(/^index must/);
  expect(() => port.opened(0, bad(7))).toThrow(/^place must/);
  // Otherwise the first client of a forwarder would end its thread.
  expect(() => port.opened(0, { path: bad(7) })).toThrow(/^place.path must/);
  for (const index of [NaN, -1, '0']) expect(() => port.closed(bad(index))).toThrow(/^index must/);
  port.destroy();
});

test('without a shared port connections are forwarded, those that came early, too', async () => {
  const forwarder = new PortForwarder(await listenAlone('127.0.0.1', 0));
  open.push(forwarder);
  const early = ask(forwarder.port);
  const paths = [0, 1].map((index) =>
    join(tmpdir(), `busbar-${process.pid}-forward-${index}.sock`),
  );
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 64 });
  const servers: TcpServer[] = [];
  for (const [index, path] of paths.entries()) {
    servers.push(await serve(pool, { path }, index));
    forwarder.setPath(index, path);
  }
  expect([0, 1]).toContain(await early);
  // They take turns.
  const first = await ask(forwarder.port);
  expect([await ask(forwarder.port), await ask(forwarder.port)]).toEqual([1 - first, first]);
  // One has died, and is not known to have: the connection goes to the other.
  servers[0].destroy();
  for (let i = 0; i < 4; i++) expect(await ask(forwarder.port)).toBe(1);
  forwarder.setPath(0, undefined);
  forwarder.setPath(1, undefined);
  const socket: Socket = connect({ host: '127.0.0.1', port: forwarder.port });
  await once(socket, 'close');
  await forwarder.close();
  expect(existsSync(paths[0])).toBe(false);
});

test('a client that has left before its executor answers leaves no connection behind', async () => {
  const path = join(tmpdir(), `busbar-${process.pid}-left.sock`);
  const executor = createServer().listen(path);
  open.push({ destroy: () => executor.close() });
  await once(executor, 'listening');
  const listener = await listenAlone('127.0.0.1', 0);
  const forwarder = new PortForwarder(listener);
  forwarder.setPath(0, path);
  const led = once(executor, 'connection');
  // After the forwarder's own listener, in the same turn: it has begun to connect.
  listener.once('connection', (client: Socket) => client.destroy());
  connect({ host: '127.0.0.1', port: forwarder.port }).on('error', () => {});
  const [inner] = (await led) as [Socket];
  inner.resume().on('error', () => {});
  if (!inner.destroyed) await once(inner, 'close');
  await forwarder.close();
});

test('who forwards can close although no executor has begun', async () => {
  const listener = await listenAlone('127.0.0.1', 0);
  const forwarder = new PortForwarder(listener);
  const client = connect({ host: '127.0.0.1', port: forwarder.port }).on('error', () => {});
  await once(listener, 'connection');
  await forwarder.close();
  if (!client.destroyed) await once(client.resume(), 'close');
});
