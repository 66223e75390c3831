// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import {
  closing,
  collect,
  connectBare,
  connectToIdle,
  fill,
  frame,
  ignore,
  listenBare,
  listenFor,
  makePool,
  payloadOf,
  u32,
} from '../../../test/link/tcp-peers.ts';
import { settle, until } from '../../../test/turns.ts';
import { nextUncaught } from '../../../test/uncaught.ts';
import { BusbarError } from '../../base/errors.ts';
import { TcpLink } from '../index.ts';

test('a peer reset during a write gives every buffer back and is reported', async () => {
  const pool = makePool();
  const { closed, handler } = closing();
  const { server, link, peer } = await connectToIdle(pool, handler);
  await fill(link, frame(new Uint8Array(8000)));
  expect(link.bufferedBytes).toBeGreaterThan(0);
  peer.resetAndDestroy();
  const error = await closed;
  expect(error).toBeInstanceOf(BusbarError);
  expect(error).toMatchObject({ code: 'ERR_BUSBAR_LINK_FAILED' });
  expect(error).toMatchObject({ cause: { code: expect.stringMatching(/ECONNRESET|EPIPE/) } });
  expect(link.stats().lostBytes).toBeGreaterThan(0);
  expect(pool.stats().held).toBe(0);
  server.close();
  pool.close();
});

test('destroy() during a write gives every buffer back', async () => {
  const pool = makePool();
  const { closed, handler } = closing();
  const { server, link, peer } = await connectToIdle(pool, handler);
  await fill(link, frame(new Uint8Array(8000)));
  link.destroy();
  expect(await closed).toBeUndefined();
  expect(pool.stats().held).toBe(0);
  expect(link.writable).toBe(false);
  peer.destroy();
  server.close();
  pool.close();
});

test('close() sends what has been written before, then the end', async () => {
  const pool = makePool(256);
  const { server, port, accepted } = await listenBare();
  const link = await TcpLink.connect(pool, { port, codec: u32, handler: ignore });
  const peer = await accepted;
  let received = 0;
  let written = 0;
  const bytes = frame(new Uint8Array(2000));
  for (let i = 0; i < 400 && link.writer.tryWrite(bytes); i++) written += bytes.length;
  const closed = link.close();
  peer.on('data', (chunk) => {
    received += chunk.length;
  });
  await once(peer, 'end');
  expect(received).toBe(written);
  peer.end();
  await closed;
  expect(link.error).toBeUndefined();
  expect(link.stats().lostBytes).toBe(0);
  expect(link.stats().bytesWritten).toBe(written);
  expect(pool.stats().held).toBe(0);
  server.close();
  pool.close();
});

test('end() aborts what is still reserved and sends what was committed behind it', async () => {
  const pool = makePool();
  const { server, port, accepted } = await listenBare();
  const link = await TcpLink.connect(pool, { port, codec: u32, handler: ignore });
  const peer = await accepted;
  const received: Uint8Array[] = [];
  peer.on('data', (chunk) => received.push(chunk));
  const open = await link.writer.reserve(100);
  expect(link.writer.tryWrite(frame(payloadOf(1)))).toBe(true);
  const ended = once(peer, 'end');
  link.end();
  await ended;
  expect(new Uint8Array(Buffer.concat(received))).toEqual(frame(payloadOf(1)));
  expect(() => open.commit()).toThrow(BusbarError);
  expect(() => link.addWriter(7)).toThrow(/closed/);
  peer.end();
  await link.close();
  expect(link.stats().lostBytes).toBe(0);
  server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('after its deadline close() drops the rest, and the link says so', async () => {
  const pool = makePool(256);
  const { server, link, peer } = await connectToIdle(pool, ignore);
  await fill(link, frame(new Uint8Array(8000)));
  await link.close({ deadlineMs: 20 });
  expect(link.error?.code).toBe('ERR_BUSBAR_TIMEOUT');
  expect(link.stats().lostBytes).toBeGreaterThan(0);
  expect(pool.stats().held).toBe(0);
  peer.destroy();
  server.close();
  pool.close();
});

test('either side can end its half while the other goes on', async () => {
  const pool = makePool();
  const ended: string[] = [];
  const answers = collect(1);
  const { server, accepted, port } = await listenFor(pool, {
    allowHalfOpen: true,
    handler: () => ({
      onFrame() {},
      onEnd(link) {
        ended.push('client');
        link.writer.tryWrite(frame(payloadOf(1)));
        link.end();
      },
    }),
  });
  const client = await TcpLink.connect(pool, {
    port,
    codec: u32,
    handler: (link) => ({ ...answers.handler(link), onEnd: () => ended.push('server') }),
  });
  const served = await accepted;
  client.writer.tryWrite(frame(payloadOf(0)));
  client.end();
  expect(client.writable).toBe(false);
  await answers.arrived;
  expect(answers.payloads[0]).toEqual(payloadOf(1));
  await Promise.all([client.close(), served.close()]);
  expect(ended).toEqual(['client', 'server']);
  expect([client.error, served.error]).toEqual([undefined, undefined]);
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a stream that ends inside a frame is reported', async () => {
  const pool = makePool();
  const { closed, handler } = closing();
  const { server, port } = await listenFor(pool, { handler });
  const socket = await connectBare(port);
  socket.end(frame(payloadOf(3)).subarray(0, 6));
  expect((await closed)?.code).toBe('ERR_BUSBAR_LINK_TRUNCATED');
  await server.close();
  socket.destroy();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a frame beyond the limit closes the link, and no other', async () => {
  const pool = makePool();
  const { closed, handler } = closing();
  const { server, port } = await listenFor(pool, { handler, maxFrameBytes: 1000 });
  const bad = await connectBare(port);
  const good = await connectBare(port);
  bad.on('error', () => {});
  bad.write(frame(new Uint8Array(2000)));
  expect((await closed)?.code).toBe('ERR_BUSBAR_FRAME_TOO_LARGE');
  expect(server.links.size).toBe(1);
  bad.destroy();
  good.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a signal destroys the link; an error of the handler does too and is thrown on', async () => {
  const pool = makePool();
  const { server, port } = await listenFor(pool);
  const controller = new AbortController();
  const { closed, handler } = closing();
  await TcpLink.connect(pool, { port, codec: u32, handler, signal: controller.signal });
  controller.abort(new Error('enough'));
  const error = await closed;
  expect(error).toMatchObject({ code: 'ERR_BUSBAR_LINK_CLOSED', cause: { message: 'enough' } });
  expect(() =>
    TcpLink.adopt(pool, new Socket(), {
      codec: u32,
      handler: () => {
        throw new Error('no handler today');
      },
    }),
  ).toThrow('no handler today');
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('an error of the handler closes the link and is thrown on', async () => {
  const pool = makePool();
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const reasons: (BusbarError | undefined)[] = [];
  const link = TcpLink.adopt(pool, stream, {
    codec: u32,
    handler: () => ({
      onFrame() {
        throw new Error('a bug');
      },
      onClose: (_link, error) => reasons.push(error),
    }),
  });
  await new Promise(setImmediate);
  expect(() => stream.push(frame(payloadOf(0)))).toThrow('a bug');
  await link.close();
  expect(reasons).toMatchObject([{ code: 'ERR_BUSBAR_LINK_CLOSED', cause: { message: 'a bug' } }]);
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a handler that leaves frames behind without a pause is told so', async () => {
  const pool = makePool(4, 1024);
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const link = TcpLink.adopt(pool, stream, {
    codec: u32,
    handler: () => ({
      onFrames() {
        link.framer.next();
      },
    }),
  });
  await new Promise(setImmediate);
  const frames = Array.from({ length: 100 }, (_, i) => frame(payloadOf(i)));
  // The complaint comes after a wait for a buffer.
  const complaint = nextUncaught();
  stream.push(Buffer.concat(frames));
  expect(await complaint).toMatchObject({
    message: expect.stringMatching(/until it returns false/),
  });
  await link.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('a pool that is closed under a link closes the link', async () => {
  const pool = makePool();
  const { server, port, accepted } = await listenBare();
  const { closed, handler } = closing();
  await TcpLink.connect(pool, { port, codec: u32, handler });
  const peer = await accepted;
  pool.close();
  peer.on('error', () => {});
  peer.write(frame(payloadOf(0)));
  expect((await closed)?.code).toBe('ERR_BUSBAR_POOL_CLOSED');
  peer.destroy();
  server.close();
});

test('a link waits for a stream that has yet to be destroyed, beyond the deadline', async () => {
  const pool = makePool();
  const waiting: (() => void)[] = [];
  const stream = new Duplex({
    read() {},
    write: (_chunk, _encoding, done) => void waiting.push(done),
    destroy: (error, done) => void waiting.push(() => done(error)),
  });
  const reasons: (BusbarError | undefined)[] = [];
  const link = TcpLink.adopt(pool, stream, {
    codec: u32,
    handler: () => ({ onFrame() {}, onClose: (_link, error) => reasons.push(error) }),
  });
  await link.write('hello');
  let isClosed = false;
  const closing = link.close({ deadlineMs: 1 }).then(() => {
    isClosed = true;
  });
  await until(() => link.error !== undefined);
  await settle();
  // It may still read the buffer of the last write, so that one alone is held.
  expect([link.error?.code, stream.destroyed, waiting.length]).toEqual([
    'ERR_BUSBAR_TIMEOUT',
    true,
    2,
  ]);
  for (const [i, proceed] of waiting.entries()) {
    const { held } = pool.stats();
    expect([isClosed, link.closed, reasons.length, held]).toEqual([false, false, 0, 1 - i]);
    proceed();
    await settle();
  }
  await closing;
  expect(reasons).toEqual([link.error]);
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});
