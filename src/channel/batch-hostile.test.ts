// SPDX-License-Identifier: MIT
/** Batches whose array or packets run code of the caller's when they are read. */

import { describe, expect, test } from 'vitest';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { PacketChannel, type PacketReceiver, WordChannel } from './index.ts';

/** An array of `count` elements, each of which is read by a call. */
function read(count: number, get: (index: number) => unknown): Packet[] {
  const list: Packet[] = new Array(count);
  for (let i = 0; i < count; i++) Object.defineProperty(list, i, { get: () => get(i) });
  return list;
}

function texts(receiver: PacketReceiver): string {
  let all = '';
  receiver.drain((packet) => {
    all += packet.toString();
    packet.release();
  });
  return all;
}

describe.each(['spsc', 'mpsc', 'mpmc'] as const)('%s', (kind) => {
  function open() {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount: 64, maxThreads: 2 });
    const channel = PacketChannel.create(pool, { kind, capacity: 8 });
    const sender = channel.sender();
    const receiver = channel.receiver();
    const make = (text: string) => Packet.tryFrom(pool, Buffer.from(text)) as Packet;
    /** The ring turns on, and nothing is left over. */
    const expectSound = () => {
      for (let i = 0; i < 20; i++) {
        const packets = [make('x'), make('y')];
        expect(sender.trySendBatch(packets)).toBe(2);
        expect(texts(receiver)).toBe('xy');
      }
      expect(channel.stats()).toMatchObject({ queued: 0 });
      expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
    };
    return { pool, channel, sender, receiver, make, expectSound };
  }

  test('an element whose getter sends through the same sender', () => {
    const { sender, receiver, make, expectSound } = open();
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(make);
    const list = read(2, (i) => {
      if (!b.released) sender.trySend(b);
      if (i === 1 && !d.released) expect(sender.trySendBatch([d])).toBe(1);
      return i === 0 ? a : c;
    });
    expect(sender.trySendBatch(list)).toBe(2);
    expect([...texts(receiver)].sort().join('')).toBe('abcd');
    expect([a, b, c, d].every((packet) => packet.released)).toBe(true);
    expectSound();
  });

  test('an element that is no packet is refused by its place', () => {
    const { sender, make, expectSound } = open();
    const packet = make('a');
    const packets = [packet, undefined as never];
    expect(() => sender.trySendBatch(packets, 1)).toThrow(/^packets\[1\] must/);
    packet.release();
    expectSound();
  });

  test('an element whose getter sends this batch again', () => {
    const { sender, receiver, make, expectSound } = open();
    const packets = ['a', 'b', 'c'].map(make);
    let depth = 0;
    const list = read(3, (i) => {
      if (depth++ < 3) sender.trySendBatch(list);
      return packets[i];
    });
    try {
      sender.trySendBatch(list);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_BUSBAR_PACKET_RELEASED' });
    }
    expect(texts(receiver)).toBe('abc');
    expectSound();
  });

  test('a getter that fills the ring leaves the rest to its owner', () => {
    const { sender, receiver, make, expectSound } = open();
    const packets = ['a', 'b', 'c'].map(make);
    const list = read(3, (i) => {
      for (let filler = make('f'); ; filler = make('f')) {
        if (sender.trySend(filler)) continue;
        filler.release();
        return packets[i];
      }
    });
    expect(sender.trySendBatch(list)).toBe(0);
    expect(packets.map((packet) => packet.toString()).join('')).toBe('abc');
    for (const packet of packets) packet.release();
    expect(texts(receiver)).toBe('ffffffff');
    expectSound();
  });

  test('a getter that throws ends the batch before its element', () => {
    const { sender, receiver, make, expectSound } = open();
    const packets = ['a', 'b', 'c'].map(make);
    const list = (bad: number) =>
      read(3, (i) => {
        if (i === bad) throw new Error('mine');
        return packets[i];
      });
    expect(() => sender.trySendBatch(list(0))).toThrow('mine');
    expect(packets.some((packet) => packet.released)).toBe(false);
    expect(sender.trySendBatch(list(2))).toBe(2);
    expect(packets.map((packet) => packet.released)).toEqual([true, true, false]);
    packets[2].release();
    expect(texts(receiver)).toBe('ab');
    expectSound();
  });

  test('a getter that gives another packet each time, or closes the sender', () => {
    const { channel, pool, sender, receiver, make } = open();
    const list = read(1, () => make('n'));
    expect(sender.trySendBatch(list)).toBe(1);
    expect(texts(receiver)).toBe('n');
    const a = make('a');
    expect(() =>
      sender.trySendBatch(
        read(1, () => {
          sender.close();
          return a;
        }),
      ),
    ).toThrow(/closed/);
    expect(a.toString()).toBe('a');
    a.release();
    expect(channel.stats()).toMatchObject({ queued: 0 });
    expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  });

  test('a Proxy of an array, and packets whose own getters send', () => {
    const { sender, receiver, make, expectSound } = open();
    const [a, b, c] = ['a', 'b', 'c'].map(make);
    const { offset } = b;
    Object.defineProperty(b, 'offset', {
      get() {
        if (!c.released) sender.trySend(c);
        return offset;
      },
    });
    const list = new Proxy([a, b], {
      get: (target, key, self) => Reflect.get(target, key, self),
    });
    expect(sender.trySendBatch(list)).toBe(2);
    expect([...texts(receiver)].sort().join('')).toBe('abc');
    expectSound();
  });

  test('numbers that are objects are not called for their value', () => {
    const { sender, make, expectSound } = open();
    const a = make('a');
    const { bufferId, offset, length } = a;
    const hostile = (value: number) =>
      ({
        valueOf() {
          throw new Error('called');
        },
        value,
      }) as unknown as typeof bufferId;
    expect(() => sender.trySendRegion(hostile(bufferId), offset, length)).toThrow(TypeError);
    expect(() => sender.trySendRegion(bufferId, hostile(offset), length)).toThrow(TypeError);
    expect(() => sender.trySendRegion(bufferId, offset, hostile(length))).toThrow(TypeError);
    a.release();
    expectSound();
  });

  test('words: a subclass whose getters throw, and bounds that are objects', () => {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount: 64, maxThreads: 2 });
    const channel = WordChannel.create(pool, { kind, capacity: 8 });
    const sender = channel.sender();
    const receiver = channel.receiver();
    class Own extends Int32Array {
      override get length(): number {
        sender.trySend(7);
        return 2;
      }
    }
    expect(sender.trySendBatch(new Own([1, 2]))).toBe(2);
    const bound = { valueOf: () => Number(sender.trySend(9)) } as unknown as number;
    expect(() => sender.trySendBatch(new Int32Array(2), bound)).toThrow(TypeError);
    const target = new Int32Array(8);
    expect(receiver.tryReceiveBatch(target)).toBe(3);
    expect([...target.subarray(0, 3)]).toEqual([7, 1, 2]);
    pool.close();
  });
});
