// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { connect, createServer, type Server, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { DIRECT } from '../../../test/direct.ts';
import { BusbarError } from '../../base/errors.ts';
import { Random } from '../../base/random.ts';
import { DelimiterCodec, LengthPrefixCodec } from '../../framer/index.ts';
import type { Packet } from '../../packet/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { LocalWriter, WriteFlusher } from '../../writer/index.ts';
import { type TcpHandler, TcpLink, type TcpLinkOptions, TcpServer } from '../index.ts';

const PREFIX = 4;
const u32 = (): LengthPrefixCodec => new LengthPrefixCodec('u32');

function makePool(bufferCount = 64, bufferSize = 16384): BufferPool {
  return BufferPool.create({ bufferSize, bufferCount, maxThreads: 2 });
}

/** One frame with a u32 prefix. */
function frame(payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PREFIX + payload.length);
  new DataView(bytes.buffer).setUint32(0, payload.length);
  bytes.set(payload, PREFIX);
  return bytes;
}

/** Payload number i: its length and every byte follow from i. */
function payloadOf(i: number, length: number = (i * 7919) % 90): Uint8Array {
  const payload = new Uint8Array(length + 4);
  new DataView(payload.buffer).setUint32(0, i);
  for (let k = 4; k < payload.length; k++) payload[k] = (i + k) & 0xff;
  return payload;
}

function isPayload(bytes: Uint8Array, offset: number, length: number, i: number): boolean {
  const expected = payloadOf(i, length - 4);
  for (let k = 0; k < length; k++) if (bytes[offset + k] !== expected[k]) return false;
  return true;
}

/**
 * Sends every frame back; when the writer says "not now" it keeps the frame and pauses until there
 * is room.
 */
function echo(link: TcpLink): TcpHandler {
  const { pool, framer, writer } = link;
  const copyBack = (offset: number, length: number, at: number): void => {
    pool.view.setUint32(at, length);
    pool.bytes.copyWithin(at + PREFIX, offset, offset + length);
    writer.commit(at, PREFIX + length);
  };
  return {
    onFrame(offset, length) {
      const at = writer.tryReserve(PREFIX + length);
      if (at >= 0) {
        copyBack(offset, length, at);
        return;
      }
      const packet = framer.takePacket();
      link.pause();
      writer.reserve(PREFIX + length).then(
        (reservation) => {
          copyBack(packet.offset, packet.length, reservation.offset);
          packet.release();
          link.resume();
        },
        () => packet.release(),
      );
    },
  };
}

/** Index of the first payload that is not what it should be, or −1. */
function firstWrong(payloads: readonly Uint8Array[], from = 0): number {
  return payloads.findIndex((bytes, i) => !isPayload(bytes, 0, bytes.length, from + i));
}

const ignore = (): TcpHandler => ({ onFrame() {} });

/** A link to a peer that does not read. */
async function connectToIdle(pool: BufferPool, handler: (link: TcpLink) => TcpHandler) {
  const { server, port, accepted } = await listenBare();
  const link = await TcpLink.connect(pool, { port, codec: u32, handler });
  const peer = await accepted;
  peer.pause();
  return { server, link, peer };
}

/** A server whose first link comes as a promise. */
async function listenFor(pool: BufferPool, options: Partial<TcpLinkOptions> = {}) {
  let accept: (link: TcpLink) => void = () => {};
  const accepted = new Promise<TcpLink>((resolve) => {
    accept = resolve;
  });
  const make = options.handler ?? ignore;
  const server = await TcpServer.listen(pool, {
    codec: u32,
    ...options,
    handler: (link) => {
      accept(link);
      return make(link);
    },
  });
  return { server, accepted, port: server.port };
}

/** A bare TCP server, for peers that are not links. */
async function listenBare(): Promise<{ server: Server; port: number; accepted: Promise<Socket> }> {
  const server = createServer({ allowHalfOpen: true });
  const accepted = once(server, 'connection').then(([socket]) => socket as Socket);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as { port: number }).port, accepted };
}

async function connectBare(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/**
 * Writes the same bytes until nothing moves any more: the peer does not read. Returns how many
 * bytes were accepted.
 */
async function fill(link: TcpLink, bytes: Uint8Array): Promise<number> {
  let accepted = 0;
  for (let still = 0; still < 100; still++) {
    const { bytesWritten } = link.stats();
    while (link.writer.tryWrite(bytes)) {
      accepted += bytes.length;
      still = 0;
    }
    await new Promise(setImmediate);
    if (link.stats().bytesWritten > bytesWritten) still = 0;
  }
  return accepted;
}

/** A handler that collects payloads and tells when there are `count`. */
function collect(count: number) {
  const payloads: Uint8Array[] = [];
  let done: () => void = () => {};
  const arrived = new Promise<void>((resolve) => {
    done = resolve;
  });
  const handler = (link: TcpLink): TcpHandler => ({
    onFrame(offset, length) {
      payloads.push(link.pool.bytes.slice(offset, offset + length));
      if (payloads.length === count) done();
    },
  });
  return { payloads, arrived, handler };
}

/** Resolves with the close reason. */
function closing(handler: (link: TcpLink) => TcpHandler = ignore) {
  let resolve: (error: BusbarError | undefined) => void = () => {};
  const closed = new Promise<BusbarError | undefined>((done) => {
    resolve = done;
  });
  return {
    closed,
    handler: (link: TcpLink): TcpHandler => ({
      ...handler(link),
      onClose: (_link, error) => resolve(error),
    }),
  };
}

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

test('frames go both ways, and the kernel reads into the pool on both sides', async () => {
  const pool = makePool();
  const { server, accepted, port } = await listenFor(pool, { handler: echo });
  const count = 2000;
  const { payloads, arrived, handler } = collect(count);
  const client = await TcpLink.connect(pool, { port, codec: u32, handler });
  for (let i = 0; i < count; i++) {
    while (!client.writer.tryWrite(frame(payloadOf(i)))) await new Promise(setImmediate);
  }
  await arrived;
  expect(firstWrong(payloads)).toBe(-1);
  const served = await accepted;
  for (const link of [client, served]) {
    expect(link.ingest).toBe(DIRECT);
    if (DIRECT === 'direct') expect(link.stats().directReads).toBeGreaterThan(0);
    expect(link.stats().writes).toBeLessThan(count / 10);
  }
  await client.close();
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test.each([[DIRECT], ['copy']] as const)(
  '10^5 messages in random chunks arrive in order and whole (%s)',
  async (ingest) => {
    const random = new Random(0x5eed);
    const pool = makePool(32, 4096);
    const count = 100_000;
    let next = 0;
    let wrong = 0;
    let done: () => void = () => {};
    const arrived = new Promise<void>((resolve) => {
      done = resolve;
    });
    const { server, accepted, port } = await listenFor(pool, {
      ingest,
      handler: (link) => ({
        onFrames() {
          const { framer } = link;
          while (framer.next()) {
            if (!isPayload(pool.bytes, framer.frameOffset, framer.frameLength, next)) wrong++;
            next++;
          }
          if (next === count) done();
        },
      }),
    });
    const socket = await connectBare(port);
    const stream = Buffer.concat(Array.from({ length: count }, (_, i) => frame(payloadOf(i))));
    for (let at = 0; at < stream.length; ) {
      const length = random.chance(0.1) ? 1 + random.below(8) : 1 + random.below(20_000);
      const chunk = stream.subarray(at, at + length);
      at += chunk.length;
      if (!socket.write(chunk)) await once(socket, 'drain');
      if (random.chance(0.2)) await new Promise(setImmediate);
    }
    await arrived;
    expect(wrong).toBe(0);
    const link = await accepted;
    expect(link.ingest).toBe(ingest);
    expect(link.stats().bytesRead).toBe(stream.length);
    expect(link.stats().directReads > 0).toBe(ingest === 'direct');
    socket.end();
    await server.close();
    socket.destroy();
    expect(pool.stats().held).toBe(0);
    pool.close();
  },
);

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

test('pause() in the midst of a read leaves the rest of it for resume()', async () => {
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

test('a peer reset in the midst of a write gives every buffer back and is reported', async () => {
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

test('destroy() in the midst of a write gives every buffer back', async () => {
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

test('a stream that is no socket is copied in both directions', async () => {
  const pool = makePool();
  const [near, far] = duplexPair();
  const { payloads, arrived, handler } = collect(100);
  const served = TcpLink.adopt(pool, far, { codec: u32, handler: echo });
  const client = TcpLink.adopt(pool, near, { codec: u32, handler });
  expect([client.ingest, served.ingest]).toEqual(['copy', 'copy']);
  for (let i = 0; i < 100; i++) expect(client.writer.tryWrite(frame(payloadOf(i)))).toBe(true);
  await arrived;
  expect(firstWrong(payloads)).toBe(-1);
  await client.close();
  await served.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('bytes that a socket had buffered before it was adopted are not lost', async () => {
  const pool = makePool();
  const { server, port, accepted } = await listenBare();
  const socket = await connectBare(port);
  const peer = await accepted;
  peer.write(frame(payloadOf(0)));
  await once(socket, 'readable');
  expect(socket.readableLength).toBeGreaterThan(0);
  const { payloads, arrived, handler } = collect(2);
  const link = TcpLink.adopt(pool, socket, { codec: u32, handler });
  peer.write(frame(payloadOf(1)));
  await arrived;
  expect(payloads).toEqual([payloadOf(0), payloadOf(1)]);
  expect(link.ingest).toBe('copy');
  peer.end();
  await link.close();
  server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('an accepted socket that becomes a link still counts for its server', async () => {
  const pool = makePool();
  const { server, port, accepted } = await listenBare();
  const socket = await connectBare(port);
  const link = TcpLink.adopt(pool, await accepted, { codec: u32, handler: ignore });
  expect(link.ingest).toBe(DIRECT);
  expect(await connectionsOf(server)).toBe(1);
  socket.end();
  await link.close();
  expect(await connectionsOf(server)).toBe(0);
  const closed = once(server, 'close');
  server.close();
  await closed;
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
  // The complaint comes after a wait for a buffer, as a rejection that nobody can catch but the
  // process.
  const complaint = new Promise((resolve) => {
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.once('unhandledRejection', (error) => {
      for (const listener of others) process.on('unhandledRejection', listener);
      resolve(error);
    });
  });
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

test('a link sends what other writers of its flusher write, each in its order', async () => {
  const pool = makePool();
  const flusher = WriteFlusher.create(pool);
  const { server, port, accepted } = await listenBare();
  const link = await TcpLink.connect(pool, { port, codec: u32, handler: ignore, flusher });
  const other = new LocalWriter(flusher, { flush: 'turn' });
  link.addWriter(other.id);
  const peer = await accepted;
  const received: Uint8Array[] = [];
  peer.on('data', (chunk) => received.push(chunk));
  for (let i = 0; i < 100; i++) {
    expect(link.writer.tryWrite(frame(payloadOf(2 * i)))).toBe(true);
    expect(other.tryWrite(frame(payloadOf(2 * i + 1)))).toBe(true);
  }
  other.close();
  const ended = once(peer, 'end');
  link.end();
  await ended;
  const numbers: number[] = [];
  const bytes = Buffer.concat(received);
  for (let at = 0; at < bytes.length; at += PREFIX + bytes.readUInt32BE(at)) {
    numbers.push(bytes.readUInt32BE(at + PREFIX));
  }
  const all = Array.from({ length: 200 }, (_, i) => i);
  expect(numbers.filter((i) => i % 2 === 0)).toEqual(all.filter((i) => i % 2 === 0));
  expect(numbers.filter((i) => i % 2 === 1)).toEqual(all.filter((i) => i % 2 === 1));
  peer.end();
  await link.close();
  server.close();
  expect(pool.stats().held).toBe(0);
  expect(flusher.stats().writers).toBe(0);
  pool.close();
});

test('a flusher of another pool, or that another thread drains, is refused', async () => {
  const pool = makePool();
  const other = makePool();
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const options = { codec: u32, handler: ignore };
  const foreign = WriteFlusher.create(other);
  expect(() => TcpLink.adopt(pool, stream, { ...options, flusher: foreign })).toThrow(/same pool/);
  // As with every wrong option, the stream stays the caller's.
  expect(stream.destroyed).toBe(false);
  pool.close();
  other.close();
});

test('a refused connection, a timeout and an abort are told apart', async () => {
  const pool = makePool();
  const { server, port } = await listenBare();
  server.close();
  await once(server, 'close');
  const base = { port, codec: u32, handler: ignore };
  const refused = await TcpLink.connect(pool, base).catch((error) => error);
  expect(refused.code).toBe('ERR_BUSBAR_LINK_REFUSED');
  expect(refused.cause.code).toBe('ECONNREFUSED');
  const signal = AbortSignal.abort(new Error('no'));
  await expect(TcpLink.connect(pool, { ...base, signal })).rejects.toThrow('no');
  await expect(TcpLink.connect(pool, { ...base, port: 0 })).rejects.toThrow(/port.*got 0/);
  await expect(TcpLink.connect(pool, { codec: u32, handler: ignore })).rejects.toThrow(
    /port or path/,
  );
  await expect(
    TcpLink.connect(pool, { ...base, hihgWaterBytes: 1 } as typeof base),
  ).rejects.toThrow(/hihgWaterBytes/);
  await expect(
    TcpLink.connect(pool, { ...base, handler: () => ({}) }).catch((error) => {
      throw error;
    }),
  ).rejects.toThrow();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

/**
 * Two streams, each of which reads what is written to the other, without copying: as strict a test
 * as there is.
 */
function duplexPair(): [Duplex, Duplex] {
  const sides: Duplex[] = [];
  for (let side = 0; side < 2; side++) {
    sides.push(
      new Duplex({
        read() {},
        write(chunk, _encoding, done) {
          setImmediate(() => sides[1 - side].push(chunk));
          done();
        },
        final(done) {
          setImmediate(() => sides[1 - side].push(null));
          done();
        },
      }),
    );
  }
  return [sides[0], sides[1]];
}
