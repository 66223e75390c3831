// SPDX-License-Identifier: MIT

import { afterEach, expect, test } from 'vitest';
import { auditPool } from '../../test/pool-audit.ts';
import { coded } from '../../test/pool-expectations.ts';
import { AssertionError } from '../base/assert.ts';
import { Packet } from '../packet/index.ts';
import { type BufferId, BufferPool, NO_BUFFER } from '../pool/index.ts';
import { LocalWriter, SharedWriter, WriteFlusher, type WriterOptions } from './index.ts';

let pool: BufferPool;
let flusher: WriteFlusher;
/** What has arrived: one text per region. */
let arrived: string[];
let kept: BufferId[];

function setUp(
  options: WriterOptions = {},
  shape: { bufferSize?: number; bufferCount?: number; regionCount?: number } = {},
): LocalWriter {
  const { bufferSize = 32, bufferCount = 12, regionCount = 8 } = shape;
  pool = BufferPool.create({ bufferSize, bufferCount, batchSize: 1, maxThreads: 3 });
  flusher = WriteFlusher.create(pool, { writerCount: 4, regionCount });
  arrived = [];
  kept = [];
  return new LocalWriter(flusher, options);
}

test('a reserve or write that times out says its limit in ms, and who holds the pool', async () => {
  const writer = setUp({}, { bufferCount: 2 });
  kept = [pool.acquireSync(), pool.acquireSync()];
  const held = '2 of 2 buffers are held; thread 0: 2 packet';
  const options = { timeoutMs: 0.25 };
  for (const wait of [() => writer.reserve(1, options), () => writer.write('a', options)]) {
    await expect(wait()).rejects.toThrow(`timeout: reserve, 1 ms; ${held}`);
  }
  await expect(pool.acquire(options)).rejects.toThrow(`acquire, 1 ms; ${held}`);
  expect(() => pool.acquireSync(0.25)).toThrow(`acquireSync, 1 ms; ${held}`);
  writer.close();
});

afterEach(() => {
  for (const id of kept) pool.release(id);
  const { held, inTransit } = pool.who();
  expect({ held, inTransit, wrong: auditPool(pool) }).toEqual({ held: 0, inTransit: 0, wrong: [] });
});

function textAt(offset: number, length: number): string {
  return Buffer.from(pool.bytes.slice(offset, offset + length)).toString();
}

function drain(countMax?: number): number {
  return flusher.drain((_id, offset, length, bufferId) => {
    arrived.push(textAt(offset, length));
    pool.release(bufferId);
  }, countMax);
}

function put(writer: LocalWriter, offset: number, text: string): void {
  pool.bytes.set(Buffer.from(text), offset);
  writer.commit(offset, text.length);
}

function write(writer: LocalWriter, text: string): boolean {
  return writer.tryWrite(Buffer.from(text));
}

function close(writer: LocalWriter): void {
  writer.close();
  drain();
}

async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('many messages leave as one region, once they are flushed', () => {
  const writer = setUp();
  for (const text of ['one ', 'two ', 'three']) expect(write(writer, text)).toBe(true);
  expect(writer.bufferedBytes).toBe(13);
  expect(drain()).toBe(0);
  expect(writer.flushedBytes).toBe(0);
  expect(writer.flush()).toBe(true);
  expect([writer.bufferedBytes, writer.flushedBytes]).toEqual([0, 13]);
  expect(flusher.stats()).toMatchObject({ waitingRegions: 1, writers: 1 });
  drain();
  expect(arrived).toEqual(['one two three']);
  expect(flusher.stats()).toMatchObject({ drainedRegions: 1, drainedBytes: 13 });
  close(writer);
});

test('a flush delivers what stands before the first open reservation, the rest goes later', () => {
  const writer = setUp();
  const offsets = ['a', 'bb', 'ccc'].map((text) => writer.tryReserve(text.length));
  put(writer, offsets[1], 'bb');
  expect(writer.flush()).toBe(true);
  expect(drain()).toBe(0);
  put(writer, offsets[0], 'a');
  writer.flush();
  drain();
  expect(arrived.join('|')).toBe('abb');
  expect(writer.bufferedBytes).toBe(0);
  put(writer, offsets[2], 'cc');
  writer.flush();
  drain();
  expect(arrived).toEqual(['abb', 'cc']);
  close(writer);
});

test('aborting the first, the middle or the last of several leaves the others whole', () => {
  for (const aborted of [0, 1, 2]) {
    const writer = setUp();
    const offsets = ['aa', 'bb', 'cc'].map((text) => writer.tryReserve(text.length));
    ['aa', 'bb', 'cc'].forEach((text, i) => {
      if (i === aborted) writer.abort(offsets[i]);
      else put(writer, offsets[i], text);
    });
    writer.flush();
    drain();
    expect(arrived.join('')).toBe(['bbcc', 'aacc', 'aabb'][aborted]);
    expect(() => writer.abort(offsets[aborted])).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
    close(writer);
  }
});

test('empty messages are messages: each open one has a place of its own', () => {
  const writer = setUp();
  const offsets = [0, 0, 3, 0].map((length) => writer.tryReserve(length));
  expect(new Set(offsets).size).toBe(4);
  for (const offset of [offsets[3], offsets[0]]) writer.commit(offset, 0);
  put(writer, offsets[2], 'abc');
  expect(() => writer.commit(offsets[0], 0)).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
  writer.abort(offsets[1]);
  expect(writer.tryWrite(new Uint8Array(0))).toBe(true);
  const packet = writer.commitPacket(writer.tryReserve(0), 0);
  expect(packet.length).toBe(0);
  packet.release();
  writer.flush();
  drain();
  expect(arrived).toEqual(['abc']);
  close(writer);
});

test('cursors out of order stop the next flush, before anything has changed', () => {
  const writer = setUp();
  write(writer, 'abc');
  const cursor = Reflect.get(writer, 'cursor') as number;
  for (const [name, wrong] of [
    ['cursor', cursor - 1],
    ['limit', cursor - 1],
    ['regionBegin', cursor + 1],
    ['mode', 1],
  ] as const) {
    const right = Reflect.get(writer, name);
    Reflect.set(writer, name, wrong);
    expect(() => writer.flush(), name).toThrow(AssertionError);
    Reflect.set(writer, name, right);
  }
  expect(writer.flush()).toBe(true);
  drain();
  expect(arrived).toEqual(['abc']);
  close(writer);
});

test('an empty reservation takes an empty message only, alone or among others', () => {
  const writer = setUp();
  const alone = writer.tryReserve(0);
  expect(() => writer.commit(alone, 1)).toThrow(/length must be an integer from 0 to 0, got 1/);
  expect(() => writer.commitPacket(alone, 1)).toThrow(RangeError);
  writer.invariants();
  // The next one has its own place, and what is written there stays.
  put(writer, writer.tryReserve(2), 'ab');
  const between = writer.tryReserve(0);
  expect(new Set([alone, between]).size).toBe(2);
  for (const offset of [alone, between]) {
    expect(() => writer.commit(offset, 1)).toThrow(RangeError);
    writer.commit(offset, 0);
  }
  writer.abort(writer.tryReserve(0));
  expect(write(writer, 'cd')).toBe(true);
  writer.invariants();
  writer.flush();
  drain();
  expect(arrived.join('')).toBe('abcd');
  close(writer);
});

test('an empty reservation at the end of a buffer keeps its byte', () => {
  const writer = setUp();
  // Each shorter than what would get a buffer of its own.
  for (let i = 0; i < 3; i++) put(writer, writer.tryReserve(10), 'x'.repeat(10));
  expect(write(writer, 'y')).toBe(true);
  const last = writer.tryReserve(0);
  const next = writer.tryReserve(1);
  expect(pool.bufferAt(last)).not.toBe(pool.bufferAt(next));
  put(writer, next, 'z');
  writer.commit(last, 0);
  writer.flush();
  drain();
  expect(arrived.join('')).toBe(`${'x'.repeat(30)}yz`);
  close(writer);
});

test('more than half a buffer gets a buffer of its own, and keeps its place in the order', () => {
  const writer = setUp();
  const long = 'x'.repeat(31);
  for (const text of ['ab', long, 'cd', 'e'.repeat(32), 'fg'])
    expect(write(writer, text)).toBe(true);
  writer.flush();
  drain();
  expect(arrived.join('')).toBe(`ab${long}cd${'e'.repeat(32)}fg`);
  expect(writer.messageBytesMax).toBe(32);
  expect(() => writer.tryReserve(33)).toThrow(coded('ERR_BUSBAR_MESSAGE_TOO_LARGE'));
  for (const length of [-1, 1.5, NaN, 2 ** 32]) {
    expect(() => writer.tryReserve(length)).toThrow(RangeError);
  }
  expect(() => writer.tryReserve('1' as unknown as number)).toThrow(TypeError);
  close(writer);
});

test('anything but bytes and a range of them is refused before a reservation is made', () => {
  const writer = setUp();
  for (const source of [[1, 2], Array(30).fill(1), {}, null, new DataView(new ArrayBuffer(4))]) {
    expect(() => writer.tryWrite(source as Uint8Array, 0, 1)).toThrow(TypeError);
  }
  const bytes = new Uint8Array(40);
  expect(() => writer.tryWrite(bytes, 0, 41)).toThrow('end must be');
  expect(() => writer.tryWrite(bytes, 3, 2)).toThrow('begin must be');
  expect(() => writer.commit(0, 1)).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
  const offset = writer.tryReserve(4);
  expect(() => writer.commit(offset, 5)).toThrow(RangeError);
  expect(() => writer.commit(offset + 1, 1)).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
  put(writer, offset, 'abcd');
  expect(writer.flush()).toBe(true);
  expect(drain()).toBe(1);
  expect(() => new LocalWriter(flusher, { flush: { bytes: 1, messages: 1 } as never })).toThrow(
    TypeError,
  );
  expect(() => new LocalWriter(flusher, { headroom: 32 })).toThrow(RangeError);
  expect(() => new LocalWriter(flusher, { head: 1 } as WriterOptions)).toThrow('head');
  close(writer);
});

test('the room around each region is its own, also beside open reservations and packets', () => {
  const writer = setUp({ headroom: 3, tailroom: 2 });
  const packets: Packet[] = [];
  const offsets = ['abc', 'de', 'f'].map((text) => writer.tryReserve(text.length));
  for (const i of [1, 0, 2]) {
    const text = ['abc', 'de', 'f'][i];
    pool.bytes.set(Buffer.from(text), offsets[i]);
    packets.push(writer.commitPacket(offsets[i], text.length));
    writer.flush();
    flusher.drain((_id, offset, length, bufferId) => {
      arrived.push(textAt(offset, length));
      pool.bytes.fill(0x21, offset - 3, offset);
      pool.bytes.fill(0x21, offset + length, offset + length + 2);
      pool.release(bufferId);
    });
    write(writer, '-');
  }
  writer.flush();
  drain();
  expect(arrived.join('')).toBe('abcdef---');
  expect(packets.map(String)).toEqual(['de', 'abc', 'f']);
  for (const packet of packets) packet.release();
  close(writer);
});

test('a full lane loses nothing: flush says so, and a later one delivers in order', () => {
  const writer = setUp({}, { regionCount: 2 });
  for (const text of ['a', 'b']) {
    write(writer, text);
    expect(writer.flush()).toBe(true);
  }
  write(writer, 'c');
  expect(writer.flush()).toBe(false);
  expect(writer.bufferedBytes).toBe(1);
  let count = 0;
  while (write(writer, '0123456789')) count++;
  expect(count).toBe(2);
  expect(writer.tryReserve(20)).toBe(-1);
  expect(drain(1)).toBe(1);
  expect(writer.flush()).toBe(true);
  drain();
  expect(arrived.join('')).toBe('abc01234567890123456789');
  expect(() => new LocalWriter(flusher)).not.toThrow();
  expect(writer.close()).toBe(0);
  drain();
});

test('an exhausted pool says not now, and nothing has changed', () => {
  const writer = setUp();
  for (let id = pool.tryAcquire(); id !== NO_BUFFER; id = pool.tryAcquire()) kept.push(id);
  expect(writer.tryReserve(1)).toBe(-1);
  expect(writer.tryReserve(30)).toBe(-1);
  expect(write(writer, 'a')).toBe(false);
  pool.release(kept.pop() as BufferId);
  expect(write(writer, 'a')).toBe(true);
  expect(writer.tryReserve(32)).toBe(-1);
  expect(write(writer, 'b')).toBe(true);
  writer.flush();
  drain();
  expect(arrived).toEqual(['ab']);
  close(writer);
});

test('5000 reservations abandoned, last first, leave no caller waiting', async () => {
  const writer = setUp();
  for (let id = pool.tryAcquire(); id !== NO_BUFFER; id = pool.tryAcquire()) kept.push(id);
  const controllers = Array.from({ length: 5_000 }, () => new AbortController());
  const waits = controllers.map(({ signal }) => writer.reserve(8, { signal }));
  const stays = writer.reserve(8);
  const results = Promise.allSettled(waits);
  for (const controller of controllers.reverse()) controller.abort(new Error('enough'));
  expect((await results).every(({ status }) => status === 'rejected')).toBe(true);
  pool.release(kept.pop() as BufferId);
  (await stays).abort();
  close(writer);
});

test('reserve waits for a buffer in order, and keeps time also in the queue', async () => {
  const writer = setUp();
  for (let id = pool.tryAcquire(); id !== NO_BUFFER; id = pool.tryAcquire()) kept.push(id);
  const controller = new AbortController();
  const waits = [
    writer.reserve(20),
    writer.reserve(8, { signal: controller.signal }),
    writer.reserve(8, { timeoutMs: 5 }),
    writer.reserve(9),
  ];
  const results = Promise.allSettled(waits);
  await expect(waits[2]).rejects.toEqual(coded('ERR_BUSBAR_TIMEOUT'));
  controller.abort(new Error('enough'));
  await expect(waits[1]).rejects.toThrow('enough');
  pool.release(kept.pop() as BufferId);
  pool.release(kept.pop() as BufferId);
  const [first, , , last] = await results;
  if (first.status !== 'fulfilled' || last.status !== 'fulfilled') throw new Error('rejected');
  put(writer, first.value.offset, 'first');
  last.value.bytes.set(Buffer.from('last'));
  last.value.commitPacket(4).release();
  expect(() => last.value.abort()).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
  await expect(writer.reserve(1, { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow(
    'no',
  );
  await expect(writer.reserve(40)).rejects.toEqual(coded('ERR_BUSBAR_MESSAGE_TOO_LARGE'));
  writer.flush();
  drain();
  expect(arrived.join('')).toBe('firstlast');
  close(writer);
});

test.each(['local', 'shared'])(
  'write of a %s writer waits for a buffer, in order',
  async (kind) => {
    const local = setUp({ flush: 'turn' }, { bufferCount: 4, bufferSize: 16 });
    const writer = kind === 'local' ? local : SharedWriter.create(flusher, { flush: 'turn' });
    for (let id = pool.tryAcquire(); id !== NO_BUFFER; id = pool.tryAcquire()) kept.push(id);
    const texts = Array.from({ length: 12 }, (_, i) => `grüße ${i},`);
    const writes = texts.map((text, i) => {
      return writer.write(i % 2 === 0 ? text : Buffer.from(text), i === 5 ? { timeoutMs: 1 } : {});
    });
    await expect(writes[5]).rejects.toEqual(coded('ERR_BUSBAR_TIMEOUT'));
    texts.splice(5, 1);
    let isDone = false;
    void Promise.allSettled(writes).then(() => {
      isDone = true;
    });
    for (const id of kept.splice(0)) pool.release(id);
    for (let turns = 0; !isDone && turns < 100_000; turns++) {
      drain();
      await new Promise(setImmediate);
    }
    expect(isDone).toBe(true);
    await expect(writer.write('a text longer than a buffer')).rejects.toEqual(
      coded('ERR_BUSBAR_MESSAGE_TOO_LARGE'),
    );
    writer.flush();
    writer.close();
    close(local);
    await expect(writer.write('')).rejects.toEqual(coded('ERR_BUSBAR_WRITER_CLOSED'));
    expect(arrived.join('')).toBe(texts.join(''));
  },
);

test('reserve waits for the receiver, and flushes what keeps it from making room', async () => {
  const writer = setUp({}, { regionCount: 2, bufferSize: 8 });
  while (write(writer, 'abcd'));
  const waiting = writer.reserve(4);
  await settle();
  expect(drain()).toBeGreaterThan(0);
  const reservation = await waiting;
  reservation.abort();
  close(writer);
  expect(arrived.join('')).toMatch(/^(abcd)+$/);
});

test('closing the writer, the flusher or the pool ends every wait', async () => {
  for (const how of ['writer', 'flusher', 'pool']) {
    const writer = setUp();
    for (let id = pool.tryAcquire(); id !== NO_BUFFER; id = pool.tryAcquire()) kept.push(id);
    const waits = Promise.allSettled([writer.reserve(20), writer.reserve(1)]);
    await settle();
    if (how === 'writer') writer.close();
    else if (how === 'flusher') flusher.close();
    else pool.close();
    const codes = (await waits).map((wait) => (wait as PromiseRejectedResult).reason.code);
    const expected = `ERR_BUSBAR_${how.toUpperCase()}_CLOSED`;
    expect(codes).toEqual([expected, expected]);
    for (const id of kept.splice(0)) pool.release(id);
    writer.close();
  }
});

test('a using block aborts what was not committed, also if the writer was closed', async () => {
  const writer = setUp();
  {
    using _first = await writer.reserve(4);
    using second = await writer.reserve(4);
    second.commit(0);
  }
  write(writer, 'kept');
  {
    using _reservation = await writer.reserve(4);
    using _other = await writer.reserve(4);
    expect(writer.close()).toBe(0);
  }
  drain();
  expect(arrived).toEqual(['kept']);
});

test('the space of a reservation is not shown once it or its writer has ended', async () => {
  const writer = setUp();
  const ended = await writer.reserve(4);
  expect(ended.bytes.length).toBe(4);
  ended.abort();
  expect(() => ended.bytes).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
  const open = await writer.reserve(4);
  writer.close();
  // Its buffer is free: whoever acquires it next would find our bytes in it.
  expect(() => open.bytes).toThrow(coded('ERR_BUSBAR_WRITER_CLOSED'));
  expect(() => open.offset).toThrow(coded('ERR_BUSBAR_WRITER_CLOSED'));
});

test('policies: by bytes, by messages, at the end of the turn', async () => {
  const byBytes = setUp({ flush: { bytes: 5 } });
  write(byBytes, 'abcd');
  expect(drain()).toBe(0);
  write(byBytes, 'e');
  expect(drain()).toBe(1);
  close(byBytes);
  const byMessages = setUp({ flush: { messages: 2 } });
  write(byMessages, 'a');
  expect(drain()).toBe(0);
  write(byMessages, 'b');
  expect(drain()).toBe(1);
  close(byMessages);
  const byTurn = setUp({ flush: 'turn' });
  let calls = 0;
  flusher.setReadyCallback(() => {
    calls++;
    drain();
  });
  write(byTurn, 'a');
  write(byTurn, 'b');
  expect(arrived).toEqual([]);
  await settle();
  expect({ arrived, calls }).toEqual({ arrived: ['ab'], calls: 1 });
  close(byTurn);
});

test('what a policy had to leave behind an open reservation goes when that ends', async () => {
  for (const flush of ['turn', { messages: 1 }, { bytes: 1 }] as const) {
    for (const how of ['abort', 'commit']) {
      const writer = setUp({ flush });
      flusher.setReadyCallback(drain);
      const [first, second] = [writer.tryReserve(4), writer.tryReserve(4)];
      put(writer, second, 'next');
      await settle();
      expect(arrived).toEqual([]);
      if (how === 'abort') writer.abort(first);
      else writer.commit(first, 0);
      await settle();
      expect(arrived, `${JSON.stringify(flush)}, ${how}`).toEqual(['next']);
      close(writer);
      await settle();
    }
  }
});

test('what awaits something that is there already is one batch with what runs', async () => {
  const writer = setUp({ flush: 'turn' });
  flusher.setReadyCallback(drain);
  for (let i = 0; i < 20; i++) {
    write(writer, 'x');
    await undefined;
  }
  await settle();
  // The first has gone before anything awaits.
  expect(arrived.length).toBeLessThanOrEqual(2);
  expect(arrived.join('')).toBe('x'.repeat(20));
  close(writer);
  await settle();
});

test('a policy goes on by itself when the receiver has made room', async () => {
  const writer = setUp({ flush: { messages: 1 } }, { regionCount: 2 });
  const other = new LocalWriter(flusher, { flush: 'turn' });
  for (const text of ['a', 'b', 'c']) {
    write(writer, text);
    write(other, text.toUpperCase());
    await settle();
  }
  expect(writer.bufferedBytes + other.bufferedBytes).toBe(2);
  drain();
  await settle();
  expect(writer.bufferedBytes + other.bufferedBytes).toBe(0);
  drain();
  expect(arrived.join('')).toMatch(/^abABcC$|^abABCc$/);
  writer.close();
  other.close();
  drain();
});

test('close hands over what it can, and says what it could not', () => {
  const writer = setUp({}, { regionCount: 2 });
  const offset = writer.tryReserve(3);
  write(writer, 'behind');
  expect(writer.close()).toBe(0);
  expect(writer.close()).toBe(0);
  expect(() => writer.commit(offset, 3)).toThrow(coded('ERR_BUSBAR_WRITER_CLOSED'));
  expect(() => writer.tryReserve(1)).toThrow(coded('ERR_BUSBAR_WRITER_CLOSED'));
  expect(() => writer.flush()).toThrow(coded('ERR_BUSBAR_WRITER_CLOSED'));
  drain();
  expect(arrived).toEqual(['behind']);
  const full = new LocalWriter(flusher);
  for (const text of ['a', 'b', 'lost']) {
    write(full, text);
    full.flush();
  }
  expect(full.close()).toBe(4);
  drain();
  expect(arrived).toEqual(['behind', 'a', 'b']);
});

test('a flusher that is closed gives everything back, flushed or not', () => {
  const writer = setUp();
  write(writer, 'flushed');
  writer.flush();
  write(writer, 'not flushed');
  const other = new LocalWriter(flusher);
  expect(flusher.close()).toBe(7);
  expect(flusher.close()).toBe(0);
  expect(() => writer.flush()).toThrow(coded('ERR_BUSBAR_FLUSHER_CLOSED'));
  expect(() => other.tryReserve(1)).toThrow(coded('ERR_BUSBAR_FLUSHER_CLOSED'));
  expect(() => new LocalWriter(flusher)).toThrow(coded('ERR_BUSBAR_FLUSHER_CLOSED'));
  expect(drain()).toBe(0);
  expect(flusher.stats()).toMatchObject({ closed: true, waitingRegions: 0 });
  expect(writer.close()).toBe(11);
  expect(other.close()).toBe(0);
});

test('a writer closes in order after its pool, even if it would have to copy', () => {
  const writer = setUp({ headroom: 2 });
  writer.tryReserve(2);
  const offset = writer.tryReserve(2);
  put(writer, offset, 'ab');
  pool.close();
  expect(writer.close()).toBe(2);
  expect(drain()).toBe(0);
});

test('a region can be kept as a packet', () => {
  const writer = setUp();
  write(writer, 'keep me');
  writer.flush();
  const packets: Packet[] = [];
  flusher.drain((_id, offset, length, bufferId) => {
    packets.push(Packet.wrap(pool, bufferId, offset, length));
  });
  close(writer);
  expect(packets.map(String)).toEqual(['keep me']);
  packets[0].release();
});

test('releaseIdle gives the buffer back, and the writer goes on', () => {
  const writer = setUp();
  expect(writer.releaseIdle()).toBe(true);
  write(writer, 'a');
  expect(writer.releaseIdle()).toBe(false);
  writer.flush();
  expect(writer.releaseIdle()).toBe(true);
  drain();
  expect(pool.stats().held).toBe(0);
  write(writer, 'b');
  close(writer);
  expect(arrived).toEqual(['a', 'b']);
});

test('a thread that leaves before the end of a turn is not called back', async () => {
  const writer = setUp({ flush: 'turn' });
  let calls = 0;
  flusher.setReadyCallback(() => void calls++);
  write(writer, 'x');
  writer.close();
  drain();
  pool.detach();
  await settle();
  expect(calls).toBe(0);
  pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 1 });
});
