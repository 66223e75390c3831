// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { arbitrarySeed, Random } from '../base/random.ts';
import { LengthPrefixCodec } from '../framer/index.ts';
import { BufferPool } from '../pool/index.ts';
import { type TcpHandler, type TcpLink, TcpServer } from './index.ts';

const PREFIX = 4;

/** Sends frames back; keeps one when there is no room for its answer, and pauses at random. */
function moodyEcho(link: TcpLink, random: Random): TcpHandler {
  const { pool, framer, writer } = link;
  return {
    onFrame(offset, length) {
      const begin = offset - PREFIX;
      if (writer.tryWrite(pool.bytes, begin, begin + PREFIX + length)) {
        if (random.chance(0.99)) return;
        link.pause();
        setImmediate(() => link.resume());
        return;
      }
      const packet = framer.takePacket();
      link.pause();
      writer.reserve(PREFIX + packet.length).then(
        (reservation) => {
          pool.view.setUint32(reservation.offset, packet.length);
          pool.bytes.copyWithin(
            reservation.offset + PREFIX,
            packet.offset,
            packet.offset + packet.length,
          );
          reservation.commit();
          packet.release();
          link.resume();
        },
        () => packet.release(),
      );
    },
  };
}

/**
 * Sends frames with the bytes 0, 1, 2, … throughout and checks that the answers go on like this.
 */
async function client(port: number, random: Random, serverLinks: ReadonlySet<TcpLink>) {
  const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  let wrong = 0;
  let next = 0;
  let left = 0;
  let prefix: number[] = [];
  socket.on('data', (chunk: Uint8Array) => {
    for (const byte of chunk) {
      if (left > 0) {
        if (byte !== (next++ & 0xff)) wrong++;
        left--;
        continue;
      }
      prefix.push(byte);
      if (prefix.length < PREFIX) continue;
      left = Buffer.from(prefix).readUInt32BE();
      prefix = [];
    }
    if (random.chance(0.1)) {
      socket.pause();
      setImmediate(() => socket.resume());
    }
  });
  let value = 0;
  const turns = 5 + random.below(60);
  for (let turn = 0; turn < turns && !socket.destroyed; turn++) {
    const frames = Array.from({ length: 1 + random.below(30) }, () => {
      const bytes = Buffer.alloc(PREFIX + random.below(random.chance(0.1) ? 900 : 60));
      bytes.writeUInt32BE(bytes.length - PREFIX);
      for (let i = PREFIX; i < bytes.length; i++) bytes[i] = value++ & 0xff;
      return bytes;
    });
    const bytes = Buffer.concat(frames);
    const cut = random.below(bytes.length);
    socket.write(bytes.subarray(0, cut));
    if (random.chance(0.5)) await new Promise(setImmediate);
    socket.write(bytes.subarray(cut));
    if (random.chance(0.5)) await new Promise(setImmediate);
  }
  const whim = random.below(6);
  const victim = [...serverLinks][random.below(Math.max(1, serverLinks.size))];
  if (whim === 0) socket.destroy();
  else if (whim === 1) socket.resetAndDestroy();
  else if (whim === 2) victim?.destroy();
  else if (whim === 3) void victim?.close({ deadlineMs: 50 });
  socket.end();
  await closed;
  // Whoever ended in good order has had everything answered.
  const complete = whim > 3 && next === value;
  return { wrong, complete };
}

test('connections that do what they like lose no buffer and mix up no byte', async () => {
  const seed = arbitrarySeed();
  const random = new Random(seed);
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 100, maxThreads: 2 });
  const server = await TcpServer.listen(pool, {
    codec: () => new LengthPrefixCodec('u32'),
    handler: (link) => moodyEcho(link, random),
    highWaterBytes: 4096,
    directReadBytes: 200,
  });
  let complete = 0;
  for (let round = 0; round < 4; round++) {
    const clients = Array.from({ length: 40 }, () => {
      return client(server.port, new Random(random.next()), server.links);
    });
    for (const outcome of await Promise.all(clients)) {
      expect(outcome.wrong, `seed ${seed}`).toBe(0);
      if (outcome.complete) complete++;
    }
  }
  expect(complete, `seed ${seed}`).toBeGreaterThan(0);
  await server.close({ deadlineMs: 1000 });
  expect(server.links.size, `seed ${seed}`).toBe(0);
  expect(pool.stats().held, `seed ${seed}`).toBe(0);
  pool.close();
});
