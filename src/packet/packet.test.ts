// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { auditPool, controlWords } from '../../test/pool-audit.ts';
import { coded, expectAllHome } from '../../test/pool-expectations.ts';
import { Random } from '../base/random.ts';
import { type BufferId, BufferPool, NO_BUFFER } from '../pool/index.ts';
import { Packet, readSendPacket, type SendPacket, writeSendPacket } from './index.ts';

function create(): BufferPool {
  return BufferPool.create({ bufferSize: 100, bufferCount: 8, batchSize: 2, maxThreads: 3 });
}

function from(pool: BufferPool, text: string): Packet {
  const packet = Packet.tryFrom(pool, new TextEncoder().encode(text));
  if (packet === undefined) throw new Error('no buffer');
  return packet;
}

/** To compare: element by element, `toEqual` takes seconds. */
function bytesOf(words: Int32Array): Buffer {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength);
}

/** Asserts that a call throws, and leaves the pool's words and the packet as they were. */
function expectRefused(
  pool: BufferPool,
  packet: Packet,
  call: () => unknown,
  error: unknown,
): void {
  const words = controlWords(pool).slice();
  const state = packet.released ? undefined : [packet.bufferId, packet.offset, packet.length];
  expect(call).toThrow(error as Error);
  expect(bytesOf(controlWords(pool)).equals(bytesOf(words))).toBe(true);
  expect(packet.released ? undefined : [packet.bufferId, packet.offset, packet.length]).toEqual(
    state,
  );
}

test('a packet has the bytes it was made from', () => {
  const pool = create();
  const packet = from(pool, 'grüße');
  expect(packet.toString()).toBe('grüße');
  expect(`${packet}`).toBe('grüße');
  expect(packet.length).toBe(7);
  expect(packet.offset).toBe(pool.offsetOf(packet.bufferId));
  expect(Array.from(packet.bytes)).toEqual(Array.from(new TextEncoder().encode('grüße')));
  expect(packet.bytes.buffer).toBe(pool.bytes.buffer);
  packet.bytes[0] = 0x47;
  expect(packet.toString()).toBe('Grüße');
  expect(packet.released).toBe(false);
  packet.release();
  expect(packet.released).toBe(true);
  expectAllHome(pool);
});

test('a tag is an integer of 32 bits, which clones and slices share', () => {
  const pool = create();
  const packet = from(pool, 'abcdef');
  expect(packet.tag).toBe(0);
  for (const tag of [1, -1, 2 ** 31 - 1, -(2 ** 31)]) {
    packet.tag = tag;
    expect(packet.tag).toBe(tag);
  }
  for (const tag of [2 ** 31, -(2 ** 31) - 1, 1.5, Number.NaN]) {
    expect(() => {
      packet.tag = tag;
    }).toThrow(RangeError);
  }
  for (const tag of ['1', undefined, null, {}]) {
    expect(() => {
      packet.tag = tag as number;
    }).toThrow(TypeError);
  }
  packet.tag = 12;
  const [clone, slice] = [packet.clone(), packet.slice(1, 3)];
  clone.tag = 13;
  const pieces = packet.shatter([2]);
  const others = [clone, slice, ...pieces];
  expect(others.map(({ tag }) => tag)).toEqual([13, 12, 12, 12]);
  expect(() => packet.tag).toThrow(coded('ERR_BUSBAR_PACKET_RELEASED'));
  expect(() => {
    packet.tag = 1;
  }).toThrow(coded('ERR_BUSBAR_PACKET_RELEASED'));
  // What goes by hand goes without it.
  const moved = Packet.moveIn(pool, clone.moveOut());
  expect(moved.tag).toBe(0);
  moved.release();
  for (const other of others.slice(1)) other.release();
  expectAllHome(pool);
});

test('tryFrom answers undefined when no buffer is free, and refuses what does not fit', () => {
  const pool = create();
  const packets = Array.from({ length: 8 }, () => from(pool, 'x'));
  expect(Packet.tryFrom(pool, new Uint8Array(5))).toBe(undefined);
  for (const packet of packets) packet.release();
  expect(() => Packet.tryFrom(pool, new Uint8Array(101))).toThrow(
    coded('ERR_BUSBAR_MESSAGE_TOO_LARGE'),
  );
  expect(() => Packet.tryFrom(pool, 7 as never)).toThrow(
    new TypeError('source must be a string or a Uint8Array, got 7'),
  );
  const empty = Packet.tryFrom(pool, new Uint8Array(0)) as Packet;
  expect([empty.length, empty.toString()]).toEqual([0, '']);
  empty.release();
  const full = Packet.tryFrom(pool, Buffer.alloc(100, 1)) as Packet;
  expect(full.bytes.every((byte) => byte === 1)).toBe(true);
  full.release();
  expectAllHome(pool);
  pool.close();
  expect(() => Packet.tryFrom(pool, new Uint8Array(5))).toThrow(coded('ERR_BUSBAR_POOL_CLOSED'));
});

test('wrap takes the reference over, or leaves it with the caller', () => {
  const pool = create();
  const ids = [pool.tryAcquire(), pool.tryAcquire()];
  const id = Math.max(...ids) as BufferId;
  const begin = pool.offsetOf(id);
  const before = controlWords(pool).slice();
  for (const [offset, length] of [
    [begin - 1, 5],
    [begin, 101],
    [begin + 100, 1],
    [begin, -1],
    [begin + 0.5, 1],
    [begin, 0.5],
    [NaN, 1],
    [begin, NaN],
    ['5', 1],
    [undefined, undefined],
  ] as [number, number][]) {
    expect(() => Packet.wrap(pool, id, offset, length)).toThrow(RangeError);
    expect(() => Packet.wrap(pool, id, offset, length)).toThrow(
      /^offset and length must lie in bu/,
    );
  }
  for (const [wrong, offset] of [
    [-1, -128],
    [8, 8 * 128],
    [0.5, 64],
  ]) {
    expect(() => Packet.wrap(pool, wrong as BufferId, offset, 1)).toThrow(
      `bufferId must be an integer from 0 to 7, got ${wrong}`,
    );
  }
  expect(() => Packet.wrap(pool, '1' as never, pool.offsetOf(1 as BufferId), 1)).toThrow(TypeError);
  expect(controlWords(pool)).toEqual(before);
  const packet = Packet.wrap(pool, id, begin + 10, 90);
  expect([packet.bufferId, packet.offset, packet.length]).toEqual([id, begin + 10, 90]);
  packet.release();
  expect(() => pool.release(id)).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  for (const each of ids) if (each !== id) pool.release(each);
  expectAllHome(pool);
});

test('a released packet refuses everything', () => {
  const pool = create();
  const other = from(pool, 'other');
  const packet = from(pool, 'hello');
  packet.release();
  const calls: (() => unknown)[] = [
    () => packet.release(),
    () => packet.bufferId,
    () => packet.offset,
    () => packet.length,
    () => packet.bytes,
    () => packet.clone(),
    () => packet.slice(0),
    () => packet.slice(0, 1),
    () => packet.advance(0),
    () => packet.shatter([]),
    () => packet.getUint8(0),
    () => packet.getUint16(0),
    () => packet.getUint32(0),
    () => packet.getInt32(0),
    () => packet.getFloat64(0),
    () => packet.getBigUint64(0),
    () => packet.copyTo(new Uint8Array(10)),
    () => packet.copyTo(new Uint8Array(10), 0, 0, 1),
    () => packet.equals(other),
    () => other.equals(packet),
    () => packet.toString(),
    () => packet.moveOut(),
    () => packet.moveInto(new Int32Array(4), 0),
  ];
  for (const call of calls) {
    expectRefused(pool, packet, call, coded('ERR_BUSBAR_PACKET_RELEASED'));
  }
  expect(() => packet.release()).toThrow('BUSBAR_TRACK_LEAKS=1 shows where');
  packet[Symbol.dispose]();
  other.release();
  expectAllHome(pool);
});

test('a sent packet has ended, too', () => {
  const pool = create();
  const packet = from(pool, 'hello');
  const sent = packet.moveOut();
  expect(packet.released).toBe(true);
  expect(() => packet.release()).toThrow(coded('ERR_BUSBAR_PACKET_RELEASED'));
  expect(() => packet.moveOut()).toThrow(coded('ERR_BUSBAR_PACKET_RELEASED'));
  Packet.moveIn(pool, sent).release();
  expectAllHome(pool);
});

test('clones live and end on their own', () => {
  const pool = create();
  const packet = from(pool, 'hello');
  const clones = Array.from({ length: 5 }, () => packet.clone());
  packet.release();
  for (const clone of clones) {
    expect(clone.toString()).toBe('hello');
    clone.release();
  }
  expectAllHome(pool);
});

test('slices see their part', () => {
  const pool = create();
  const packet = from(pool, 'hello world');
  const world = packet.slice(6);
  const hello = packet.slice(0, 5);
  const none = packet.slice(11, 11);
  packet.release();
  expect([hello, world, none].map(String)).toEqual(['hello', 'world', '']);
  const inner = world.slice(1, 3);
  expect(String(inner)).toBe('or');
  for (const [begin, end] of [
    [0, 6],
    [6, 6],
    [3, 2],
    [-1, 2],
    [0.5, 2],
    [0, NaN],
    ['0', 2],
  ] as [number, number][]) {
    expectRefused(pool, world, () => world.slice(begin, end), /^(begin|end) must be an integer/);
  }
  for (const each of [hello, world, none, inner]) each.release();
  expectAllHome(pool);
});

test('advance drops the beginning', () => {
  const pool = create();
  const packet = from(pool, 'hello');
  packet.advance(0);
  packet.advance(2);
  expect(String(packet)).toBe('llo');
  for (const count of [4, -1, 0.5, NaN, '1'] as number[]) {
    expectRefused(
      pool,
      packet,
      () => packet.advance(count),
      /^count must be an integer from 0 to 3/,
    );
  }
  packet.advance(3);
  expect([packet.length, String(packet)]).toEqual([0, '']);
  packet.release();
  expectAllHome(pool);
});

test('shatter cuts a packet to pieces, or leaves it whole if it may not', () => {
  const pool = create();
  const packet = from(pool, 'hello world');
  for (const cuts of [[12], [5, 4], [-1], [1.5], [NaN], ['1'], [1, 2, 3, 99]] as number[][]) {
    expectRefused(pool, packet, () => packet.shatter(cuts), /^cuts must be an integer/);
  }
  expectRefused(pool, packet, () => packet.shatter(undefined as never), TypeError);
  const pieces = packet.shatter([0, 5, 5, 6, 11]);
  expect(packet.released).toBe(true);
  expect(pieces.map(String)).toEqual(['', 'hello', '', ' ', 'world', '']);
  const [whole] = pieces[4].shatter([]);
  expect(String(whole)).toBe('world');
  for (const piece of [...pieces.filter(({ released }) => !released), whole]) piece.release();
  expectAllHome(pool);
});

test('fields are read in either byte order, within the packet only', () => {
  const pool = create();
  const bytes = Uint8Array.of(9, 1, 2, 3, 4, 5, 6, 7, 255, 9);
  const whole = Packet.tryFrom(pool, bytes) as Packet;
  const packet = whole.slice(1, 9);
  const view = new DataView(bytes.buffer, 1, 8);
  for (const little of [false, true]) {
    expect(packet.getUint16(1, little)).toBe(view.getUint16(1, little));
    expect(packet.getUint32(2, little)).toBe(view.getUint32(2, little));
    expect(packet.getInt32(4, little)).toBe(view.getInt32(4, little));
    expect(packet.getFloat64(0, little)).toBe(view.getFloat64(0, little));
    expect(packet.getBigUint64(0, little)).toBe(view.getBigUint64(0, little));
  }
  expect(packet.getUint8(7)).toBe(255);
  expect(packet.getUint32(0)).toBe(0x01020304);
  const reads: [number, (at: number) => unknown][] = [
    [1, (at) => packet.getUint8(at)],
    [2, (at) => packet.getUint16(at)],
    [4, (at) => packet.getUint32(at)],
    [4, (at) => packet.getInt32(at)],
    [8, (at) => packet.getFloat64(at)],
    [8, (at) => packet.getBigUint64(at)],
  ];
  for (const [size, read] of reads) {
    read(8 - size);
    for (const at of [-1, 9 - size, 8, 0.5, NaN, Infinity, '0', undefined] as number[]) {
      expect(() => read(at), `${size} ${at}`).toThrow(RangeError);
      expect(() => read(at)).toThrow(/^at must be an integer that leaves \d bytes of 8, got /);
    }
  }
  whole.release();
  packet.release();
  expectAllHome(pool);
});

test('bytes are copied out, whole or in part', () => {
  const pool = create();
  const packet = from(pool, 'hello world');
  const target = new Uint8Array(20).fill(46);
  expect(packet.copyTo(target)).toBe(11);
  expect(packet.copyTo(target, 12, 6)).toBe(5);
  expect(packet.copyTo(target, 18, 0, 2)).toBe(2);
  expect(packet.copyTo(target, 20, 3, 3)).toBe(0);
  expect(new TextDecoder().decode(target)).toBe('hello world.world.he');
  const before = target.slice();
  for (const args of [
    [undefined],
    [[]],
    [new Uint16Array(20)],
    [target, 10],
    [target, -1],
    [target, 0, 5, 4],
    [target, 0, 0, 12],
    [target, 0.5],
    [new Uint8Array(10)],
  ] as never[][]) {
    expectRefused(
      pool,
      packet,
      () => packet.copyTo(...(args as unknown as [Uint8Array])),
      /^(target|targetOffset|begin|end) must be/,
    );
  }
  expect(target).toEqual(before);
  packet.release();
});

test('packets are equal when their bytes are', () => {
  const pool = create();
  const other = create();
  const packet = from(pool, 'hello');
  for (const [same, expected] of [
    [from(pool, 'hello'), true],
    [from(other, 'hello'), true],
    [packet.clone(), true],
    [packet, true],
    [new TextEncoder().encode('hello'), true],
    [Buffer.from('hello'), true],
    [from(pool, 'hellO'), false],
    [from(pool, 'hell'), false],
    [new Uint8Array(0), false],
  ] as const) {
    expect(packet.equals(same)).toBe(expected);
  }
  expect(() => packet.equals('hello' as never)).toThrow(
    new TypeError('other must be a Uint8Array, got "hello"'),
  );
});

test('a packet goes to another thread as four numbers, which survive structured clone', () => {
  const a = create();
  const b = BufferPool.attach(a.handle);
  const packet = from(a, 'hello world').slice(6);
  const sent = structuredClone(packet.moveOut());
  expect(Object.keys(sent)).toEqual(['buffer', 'offset', 'length', 'contribution']);
  const received = Packet.moveIn(b, sent);
  expect(String(received)).toBe('world');
  received.release();
  expect(a.who()).toMatchObject({ held: 1, inTransit: 0 });
});

test('a SendPacket is received once', () => {
  const a = create();
  const b = BufferPool.attach(a.handle);
  const packet = from(a, 'hello');
  const keep = packet.clone();
  const sent = packet.moveOut();
  const copy = { ...sent };
  const received = Packet.moveIn(b, sent);
  const words = controlWords(a).slice();
  for (const pool of [a, b]) {
    expect(() => Packet.moveIn(pool, sent)).toThrow(coded('ERR_BUSBAR_BAD_SEND_PACKET'));
  }
  expect(controlWords(a)).toEqual(words);
  received.release();
  keep.release();
  expectAllHome(a);
  // Once nobody shares the buffer any more, not even a copy is.
  expect(() => Packet.moveIn(b, copy)).toThrow(coded('ERR_BUSBAR_BAD_SEND_PACKET'));
  // A frozen one can be received all the same.
  Packet.moveIn(a, Object.freeze(from(a, 'x').moveOut())).release();
  expectAllHome(a);
});

test('what is no SendPacket is refused, and nothing changes', () => {
  const pool = create();
  const packet = from(pool, 'hello');
  const sent = packet.clone().moveOut();
  for (const wrong of [undefined, null, 5, 'x', true]) {
    expectRefused(
      pool,
      packet,
      () => Packet.moveIn(pool, wrong as never),
      /^sent must be a SendPacket, got/,
    );
  }
  for (const wrong of [
    {},
    { ...sent, buffer: sent.buffer + 1 },
    { ...sent, buffer: -1 },
    { ...sent, offset: sent.offset - 1 },
    { ...sent, length: 101 },
    { ...sent, length: -1 },
    { ...sent, contribution: 0 },
    { ...sent, contribution: sent.contribution & ~0xffff },
    { ...sent, contribution: sent.contribution ^ 0x10000 },
    { buffer: sent.buffer, offset: sent.offset, length: sent.length },
  ]) {
    expectRefused(
      pool,
      packet,
      () => Packet.moveIn(pool, wrong as SendPacket),
      coded('ERR_BUSBAR_BAD_SEND_PACKET'),
    );
  }
  Packet.moveIn(pool, sent).release();
  packet.release();
  expectAllHome(pool);
});

test('a packet is sent into words of the caller, or stays with it', () => {
  const a = create();
  const b = BufferPool.attach(a.handle);
  const words = new Int32Array(new SharedArrayBuffer(24));
  const packet = from(a, 'hello');
  for (const index of [3, -1, 0.5, NaN]) {
    expectRefused(a, packet, () => packet.moveInto(words, index), /^index must be/);
  }
  expect(words.every((word) => word === 0)).toBe(true);
  packet.moveInto(words, 2);
  const received = Packet.moveIn(b, readSendPacket(words, 2));
  expect(String(received)).toBe('hello');
  const copy = new Int32Array(4);
  writeSendPacket(copy, 0, received.moveOut());
  expect(copy.subarray(0, 3)).toEqual(words.subarray(2, 5));
  b.release(b.moveFrom(copy, 0));
  expectAllHome(a);
});

test('`using` a packet releases it, also when it was released or sent before', () => {
  const pool = create();
  {
    using first = from(pool, 'a');
    using second = from(pool, 'b');
    using third = from(pool, 'c');
    second.release();
    Packet.moveIn(pool, third.moveOut()).release();
    expect(String(first)).toBe('a');
  }
  expectAllHome(pool);
});

test('a failed release leaves the packet as it was', () => {
  const pool = create();
  const packet = from(pool, 'hello');
  const id = packet.bufferId;
  // Somebody took the packet's reference behind its back:
  pool.release(id);
  expect(() => packet.release()).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  expect(() => packet.clone()).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  expect(() => packet.moveOut()).toThrow(coded('ERR_BUSBAR_NOT_HELD'));
  expect(packet.released).toBe(false);
  expectAllHome(pool);
});

test('numbers and packets count the same references', () => {
  const pool = create();
  const id = pool.tryAcquire();
  const packet = Packet.wrap(pool, id, pool.offsetOf(id), 5);
  pool.retain(packet.bufferId);
  const clone = packet.clone();
  packet.release();
  clone.release();
  expect(pool.stats().held).toBe(1);
  pool.release(id);
  expectAllHome(pool);
});

test('random trees of clones, slices and pieces release every buffer', () => {
  const random = new Random(5);
  const pool = create();
  const oracle = new Map<Packet, string>();
  for (let i = 0; i < 20_000; i++) {
    const packets = [...oracle.keys()];
    const packet = packets[random.below(packets.length || 1)];
    const text = packet === undefined ? '' : (oracle.get(packet) as string);
    const action = random.below(8);
    if (action === 0 || packet === undefined) {
      const made = Packet.tryFrom(pool, new TextEncoder().encode(`message ${i}`));
      if (made !== undefined) oracle.set(made, `message ${i}`);
    } else if (action === 1 && packets.length < 40) {
      oracle.set(packet.clone(), text);
    } else if (action === 2 && packets.length < 40) {
      const begin = random.below(text.length + 1);
      const end = random.between(begin, text.length);
      oracle.set(packet.slice(begin, end), text.slice(begin, end));
    } else if (action === 3) {
      const count = random.below(text.length + 1);
      packet.advance(count);
      oracle.set(packet, text.slice(count));
    } else if (action === 4 && packets.length < 40) {
      const first = random.below(text.length + 1);
      const second = random.between(first, text.length);
      oracle.delete(packet);
      const [a, b, c] = packet.shatter([first, second]);
      oracle.set(a, text.slice(0, first));
      oracle.set(b, text.slice(first, second));
      oracle.set(c, text.slice(second));
    } else if (action === 5) {
      oracle.delete(packet);
      oracle.set(Packet.moveIn(pool, packet.moveOut()), text);
    } else {
      oracle.delete(packet);
      packet.release();
    }
    if (i % 500 === 0) {
      for (const [each, expected] of oracle) expect(String(each)).toBe(expected);
      expect(auditPool(pool)).toEqual([]);
    }
  }
  for (const packet of oracle.keys()) packet.release();
  expect(pool.tryAcquire()).not.toBe(NO_BUFFER);
});

test('from waits for a buffer; limits end the wait, and nothing is kept', async () => {
  const pool = BufferPool.create({ bufferSize: 16, bufferCount: 1 });
  const first = await Packet.from(pool, 'one');
  const second = Packet.from(pool, 'zwei Wörter');
  await expect(Packet.from(pool, 'x', { timeoutMs: 1 })).rejects.toThrow(
    coded('ERR_BUSBAR_TIMEOUT'),
  );
  first.release();
  const packet = await second;
  expect(packet.toString()).toBe('zwei Wörter');
  packet.release();
  await expect(Packet.from(pool, new Uint8Array(17))).rejects.toThrow(
    coded('ERR_BUSBAR_MESSAGE_TOO_LARGE'),
  );
  expect(pool.close()).toMatchObject({ heldByThreads: 0 });
});
