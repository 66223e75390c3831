// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { Packet, readSendPacket, type SendPacket, writeSendPacket } from './index.ts';

function makePool(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 2 });
}

function packetOf(pool: BufferPool, byte: number): Packet {
  const packet = Packet.tryFrom(pool, Uint8Array.of(byte, byte, byte));
  if (packet === undefined) throw new Error('the pool is too small');
  return packet;
}

function checkAllHome(pool: BufferPool): void {
  const { heldByThreads, inTransit } = pool.close();
  expect([heldByThreads, inTransit]).toEqual([0, 0]);
}

test('a packet in transit whose numbers are no integers is refused, and stays in transit', () => {
  const pool = makePool();
  const sent = packetOf(pool, 1).moveOut();
  const keys = ['buffer', 'offset', 'length', 'contribution'] as const;
  for (const key of keys) {
    for (const value of [String(sent[key]), undefined, null, 1.5, 3n, { valueOf: () => 0 }]) {
      const forged = { ...sent, [key]: value } as SendPacket;
      expect(() => Packet.moveIn(pool, forged)).toThrow(
        expect.objectContaining({ code: 'ERR_BUSBAR_BAD_SEND_PACKET' }),
      );
      const words = new Int32Array(4);
      expect(() => writeSendPacket(words, 0, forged)).toThrow(key);
      expect([...words]).toEqual([0, 0, 0, 0]);
    }
  }
  Packet.moveIn(pool, sent).release();
  checkAllHome(pool);
});

test('a getter that receives another packet does not mix the two', () => {
  const pool = makePool();
  const [one, two] = [packetOf(pool, 1).moveOut(), packetOf(pool, 2).moveOut()];
  const inner: Packet[] = [];
  const hostile = {
    ...one,
    get contribution() {
      inner.push(Packet.moveIn(pool, two));
      return one.contribution;
    },
  };
  const outer = Packet.moveIn(pool, hostile);
  expect([outer.getUint8(0), inner[0]?.getUint8(0)]).toEqual([1, 2]);
  for (const packet of [outer, ...inner]) packet.release();
  checkAllHome(pool);
});

test('a setter that receives another packet does not change where the first lies', () => {
  const pool = makePool();
  const [one, two] = [packetOf(pool, 1).moveOut(), packetOf(pool, 2).moveOut()];
  const inner: Packet[] = [];
  const hostile = new Proxy(
    { ...one },
    {
      set() {
        inner.push(Packet.moveIn(pool, two));
        return true;
      },
    },
  );
  const outer = Packet.moveIn(pool, hostile);
  expect([outer.getUint8(0), inner[0]?.getUint8(0)]).toEqual([1, 2]);
  for (const packet of [outer, ...inner]) packet.release();
  checkAllHome(pool);
});

test('cuts that change between two looks, or release the packet, cut nothing wrong', () => {
  const pool = makePool();
  const packet = packetOf(pool, 1);
  let looks = 0;
  const cuts = [0];
  Object.defineProperty(cuts, 0, { get: () => (looks++ === 0 ? 1 : 60) });
  const pieces = packet.shatter(cuts);
  expect(pieces.map(({ length }) => length)).toEqual([1, 2]);
  for (const piece of pieces) piece.release();
  const other = packetOf(pool, 2);
  Object.defineProperty(cuts, 0, { get: () => other.release() });
  expect(() => other.shatter(cuts)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_PACKET_RELEASED' }),
  );
  checkAllHome(pool);
});

test('words that are no Int32Array take no packet', () => {
  const pool = makePool();
  const packet = packetOf(pool, 1);
  for (const target of ['constructor', Object.freeze([0, 0, 0, 0]), new Uint32Array(4), null]) {
    expect(() => packet.moveInto(target as never, 0)).toThrow(/^target must be an Int32Array/);
  }
  packet.release();
  checkAllHome(pool);
});

test('a target that lies about its length gets no bytes beyond it', () => {
  const pool = makePool();
  const packet = packetOf(pool, 1);
  class Lying extends Uint8Array {
    override get length(): number {
      return 1_000;
    }
  }
  expect(() => packet.copyTo(new Lying(1))).toThrow(/^targetOffset must be/);
  expect(packet.equals(new Lying(packet.bytes))).toBe(true);
  expect(() => readSendPacket(new Proxy(new Int32Array(8), {}), 0)).toThrow(/^words must be/);
  packet.release();
  checkAllHome(pool);
});

test('words that are a proxy are refused before the reference has moved', () => {
  const pool = makePool();
  const words = new Int32Array(4);
  packetOf(pool, 1).moveInto(words, 0);
  const hostile = new Proxy(words, {
    get(target, key) {
      if (key === '1' && target[3] === 0) throw new Error('too late');
      const value = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  expect(() => Packet.moveFrom(pool, hostile, 0)).toThrow(/^words must be an Int32Array/);
  Packet.moveFrom(pool, words, 0).release();
  checkAllHome(pool);
});

test.each([
  ['sole', 'get'],
  ['sole', 'set'],
  ['shared', 'get'],
  ['shared', 'set'],
])('words whose traps take the packet meanwhile are refused, %s, %s', (kind, trap) => {
  const pool = makePool();
  const other = BufferPool.attach(pool.handle);
  const packet = packetOf(pool, 1);
  const { bufferId } = packet;
  if (kind === 'shared') pool.retain(bufferId);
  const words = new Int32Array(4);
  packet.moveInto(words, 0);
  if (kind === 'shared') pool.release(bufferId);
  let calls = 0;
  const take = (): void => {
    if (calls++ === 0) other.release(other.moveFrom(words, 0));
  };
  const source = new Proxy(words, {
    get(target, key) {
      if (trap === 'get' && key === '2') take();
      return Reflect.get(target, key, target);
    },
    set(target, key, value) {
      if (trap === 'set') take();
      return Reflect.set(target, key, value, target);
    },
  });
  const wrong = /^source must be an Int32Array, got an object of type Int32Array$/;
  expect(() => pool.moveFrom(source, 0)).toThrow(wrong);
  expect(() => pool.moveFrom([...words] as never, 0)).toThrow(TypeError);
  expect(calls).toBe(0);
  pool.release(pool.moveFrom(words, 0));
  other.detach();
  checkAllHome(pool);
});

test('a copy to overlapping bytes of its pool is right, in other views from 17 bytes on', () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 2, maxThreads: 2 });
  const bytes = pool.bytes;
  for (const length of [1, 2, 5, 16, 17, 60, 127, 128, 129, 400]) {
    for (const shift of [-200, -17, -3, -1, 0, 1, 3, 15, 16, 17, 200]) {
      const all = packetOf(pool, 0);
      const id = all.bufferId;
      const begin = pool.offsetOf(id) + 300;
      const packet = Packet.within(pool, id, begin, length);
      for (const kind of ['all', 'part', 'buffer']) {
        // As documented; a loop is fastest for so few.
        if (kind !== 'all' && length <= 16) continue;
        for (let i = 0; i < 1024; i++) bytes[pool.offsetOf(id) + i] = i * 7 + length;
        const before = bytes.slice();
        const to = begin + shift;
        if (kind === 'all') packet.copyTo(bytes, to);
        else if (kind === 'part') packet.copyTo(bytes.subarray(to, to + length));
        else packet.copyTo(Buffer.from(bytes.buffer, to - 2, length + 4), 2);
        before.copyWithin(to, begin, begin + length);
        expect(Buffer.compare(bytes, before), `${kind}, ${length} bytes by ${shift}`).toBe(0);
      }
      packet.markMoved();
      all.release();
    }
  }
  checkAllHome(pool);
});
