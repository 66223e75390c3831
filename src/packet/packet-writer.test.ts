// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { PacketWriter } from './index.ts';

const makePool = (bufferCount = 3): BufferPool =>
  BufferPool.create({ bufferSize: 64, bufferCount, batchSize: 1, maxThreads: 1 });

test('packets that fit share a buffer, the next takes another', () => {
  const pool = makePool();
  const writer = new PacketWriter(pool);
  const packets = ['a'.repeat(30), 'b'.repeat(30), 'c'.repeat(5)].map((text) => {
    const packet = writer.tryWrite(text);
    if (packet === undefined) throw new Error('no buffer');
    return packet;
  });
  expect(packets.map(String)).toEqual(['a'.repeat(30), 'b'.repeat(30), 'c'.repeat(5)]);
  expect(new Set(packets.map(({ bufferId }) => bufferId)).size).toBe(2);
  expect(pool.stats().held).toBe(2);
  packets[0]?.release();
  packets[1]?.release();
  expect(pool.stats().held).toBe(1);
  writer.close();
  writer.close();
  expect(packets[2]?.toString()).toBe('ccccc');
  packets[2]?.release();
  expect(pool.stats().held).toBe(0);
  expect(() => writer.tryWrite(Buffer.from('x'))).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_WRITER_CLOSED' }),
  );
});

test('a buffer of which no packet is left is used again; without one it is not now', () => {
  const pool = makePool(1);
  const writer = new PacketWriter(pool);
  for (let i = 0; i < 10; i++) writer.tryWrite(new Uint8Array(40))?.release();
  expect(pool.stats().held).toBe(1);
  const kept = writer.tryWrite(new Uint8Array(40));
  expect(writer.tryWrite(new Uint8Array(40))).toBeUndefined();
  expect(writer.tryReserve(40)).toBe(-1);
  // What still fits goes on.
  const small = writer.tryWrite(new Uint8Array(20));
  expect(small?.length).toBe(20);
  for (const packet of [kept, small]) packet?.release();
  writer.releaseIdle();
  expect(pool.stats().held).toBe(0);
});

test('reservations are written in place, and checked', () => {
  const pool = makePool();
  const writer = new PacketWriter(pool);
  const at = writer.tryReserve(10);
  pool.bytes.set(Buffer.from('hi'), at);
  expect(() => writer.commit(at + 1, 2)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_BAD_RESERVATION' }),
  );
  expect(() => writer.commit(at, 11)).toThrow(RangeError);
  const packet = writer.commit(at, 2);
  expect(packet.toString()).toBe('hi');
  expect(() => writer.commit(at, 2)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_BAD_RESERVATION' }),
  );
  expect(writer.tryReserve(10)).toBe(at + 2);
  expect(() => writer.tryReserve(65)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_MESSAGE_TOO_LARGE' }),
  );
  expect(() => writer.tryReserve(-1)).toThrow(RangeError);
  expect(() => writer.tryWrite(7 as unknown as Uint8Array)).toThrow(TypeError);
  packet.release();
  writer[Symbol.dispose]();
  expect(pool.stats().held).toBe(0);
});
