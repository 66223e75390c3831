// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import type { Server } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { DIRECT } from '../../../test/direct.ts';
import {
  collect,
  connectBare,
  echo,
  firstWrong,
  frame,
  ignore,
  isPayload,
  listenBare,
  listenFor,
  makePool,
  PREFIX,
  payloadOf,
  u32,
} from '../../../test/link/tcp-peers.ts';
import { Random } from '../../base/random.ts';
import { LocalWriter, WriteFlusher } from '../../writer/index.ts';
import { TcpLink } from '../index.ts';

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
