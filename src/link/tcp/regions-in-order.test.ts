// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { Random } from '../../base/random.ts';
import { LengthPrefixCodec } from '../../framer/index.ts';
import { Packet } from '../../packet/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { Reservation } from '../../writer/index.ts';
import { TcpLink, TcpServer } from '../index.ts';

const MESSAGES = 2000;
const SEED = (Math.random() * 2 ** 32) >>> 0;

/** A frame of 4 bytes: its prefix, and a number. */
function frame(number: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(4, 0);
  bytes.writeUInt32BE(number, 4);
  return bytes;
}

test(`packets and the writer's messages leave in the order of calls, seed ${SEED}`, async () => {
  const random = new Random(SEED);
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64 });
  const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
  const got: number[] = [];
  const server = await TcpServer.listen(pool, {
    codec,
    handler: () => ({ onFrame: (offset) => void got.push(pool.view.getUint32(offset)) }),
  });
  const { port } = server;
  const link = await TcpLink.connect(pool, { port, codec, handler: () => ({ onFrame() {} }) });
  const { writer } = link;
  const sent: number[] = [];
  let sends = 0;
  let open: Reservation | undefined;
  const deeds = [
    () => writer.tryWrite(frame(sent.length)) && sent.push(sent.length),
    () => writer.flush(),
    () => link.flush(),
    () => {
      if (open !== undefined) return;
      const at = writer.tryReserve(8);
      if (at >= 0) open = new Reservation(writer, at, 8);
    },
    () => {
      if (open === undefined) return;
      const isMessage = random.below(2) === 0;
      pool.bytes.set(frame(sent.length), open.offset);
      if (isMessage) open.commit();
      else open.abort();
      if (isMessage) sent.push(sent.length);
      open = undefined;
    },
    () => {
      const packet = Packet.tryFrom(pool, frame(sent.length));
      if (packet === undefined) return;
      if (link.trySend(packet)) sends = sent.push(sent.length);
      else packet.release();
    },
  ];
  while (sent.length < MESSAGES) {
    // While one is open, a message written after it would leave after it.
    const chosen = open === undefined ? random.below(6) : 1 + random.below(5);
    deeds[chosen]();
    if (random.below(20) === 0) await new Promise(setImmediate);
  }
  open?.abort();
  expect(sends).toBeGreaterThan(0);
  await link.close();
  await server.close();
  expect(got).toEqual(sent);
  expect(pool.stats().held).toBe(0);
  pool.close();
});
