// SPDX-License-Identifier: MIT
import { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { PacketChannel } from '../../src/channel/index.ts';
import { Framer, LengthPrefixCodec } from '../../src/framer/index.ts';
import { TcpLink, UdpLink } from '../../src/link/index.ts';
import { Packet, PacketWriter } from '../../src/packet/index.ts';
import { BufferPool } from '../../src/pool/index.ts';
import { LocalWriter, SharedWriter, WriteFlusher } from '../../src/writer/index.ts';
import { die } from '../simulated-death.ts';
import { until } from '../turns.ts';

const shape = { bufferSize: 256, bufferCount: 64, batchSize: 2, maxThreads: 4, name: 'orders' };
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Who holds something, as `slot kind of name: count`. */
function holders(pool: BufferPool): string[] {
  return pool.who().holders.map(({ slot, kind, name, count }) => {
    return `${slot ?? '-'} ${kind}${name === '' ? '' : ` of ${name}`}: ${count}`;
  });
}

function packetOf(pool: BufferPool): Packet {
  const packet = Packet.tryFrom(pool, encode('hello'));
  if (packet === undefined) throw new Error('no buffer is free');
  return packet;
}

/** The holder's counts are a part of the references, and the rest is packets. */
test('every kind of holder is counted while it holds, and not before or after', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  pool.nameThread('main');
  const seen: string[] = [];
  const see = (what: string): void => {
    expect(holders(other).filter((line) => line.startsWith('0'))).toEqual(
      holders(pool).filter((line) => line.startsWith('0')),
    );
    seen.push(`${what} ▸ ${holders(pool).join(', ')}`);
  };
  see('nothing');
  const packet = packetOf(pool);
  const clone = packet.clone();
  see('packets');
  packet.release();
  clone.release();
  const framer = new Framer(pool, new LengthPrefixCodec('u16'));
  framer.feed(encode('\0\x09part'));
  see('a frame begun');
  framer.feed(encode('of it'));
  const taken = framer.next() ? framer.takePacket() : undefined;
  see('a frame and its packet');
  framer.close();
  taken?.release();
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(flusher);
  writer.tryWrite(encode('one'));
  see('a writer');
  const first = await writer.reserve(8);
  const second = await writer.reserve(200);
  see('overlapping reservations');
  second.commit();
  first.abort();
  writer.flush();
  see('flushed');
  flusher.drain((_id, _offset, _length, bufferId) => pool.release(bufferId));
  writer.close();
  see('drained');
  const shared = SharedWriter.create(flusher);
  shared.tryWrite(encode('two'));
  see('a shared writer');
  shared.close();
  flusher.drain((_id, _offset, _length, bufferId) => pool.release(bufferId));
  const carver = new PacketWriter(pool);
  const small = [carver.tryWrite('a'), carver.tryWrite('b')];
  see('carved');
  for (const one of small) one?.release();
  carver.close();
  const channel = PacketChannel.create(pool, { kind: 'mpsc', capacity: 4, name: 'parsed' });
  const sender = channel.sender();
  sender.trySend(packetOf(pool));
  sender.trySend(packetOf(pool));
  see('in a channel');
  expect(holders(other)).toEqual(['- elsewhere: 2']);
  expect(inspect(channel)).toContain("name: 'parsed'");
  sender.close();
  channel.destroy();
  see('the end');
  expect(seen).toEqual([
    'nothing ▸ ',
    'packets ▸ 0 packet: 2',
    'a frame begun ▸ 0 framer: 1',
    'a frame and its packet ▸ 0 framer: 1, 0 packet: 1',
    'a writer ▸ 0 writer: 1',
    'overlapping reservations ▸ 0 writer: 4',
    'flushed ▸ 0 writer: 1, - flusher: 2',
    'drained ▸ ',
    'a shared writer ▸ - shared writer: 1',
    'carved ▸ 0 packet: 2, 0 packet writer: 1',
    'in a channel ▸ - channel of parsed: 2',
    'the end ▸ ',
  ]);
  other.detach();
  expect(pool.close()).toEqual({ heldByThreads: 0, inTransit: 0, leaks: 'off' });
});

/** A stream that takes nothing until it is told to. */
function stuck(): { stream: Duplex; flow: () => void } {
  let go = (): void => {};
  const stream = new Duplex({
    read: () => {},
    write: (_chunk, _encoding, done) => {
      go = done;
    },
    final: (done) => done(),
  });
  return { stream, flow: () => go() };
}

test('a link says what it holds by its name, and nothing once it is closed', async () => {
  const pool = BufferPool.create(shape);
  const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');
  const handler = (): object => ({ onFrame: () => {} });
  const { stream } = stuck();
  const link = TcpLink.adopt(pool, stream, { codec, handler, name: 'laggard' } as never);
  const unnamed = TcpLink.adopt(pool, stuck().stream, { codec, handler } as never);
  expect(unnamed.name).toMatch(/^link \d+$/);
  for (let i = 0; i < 5; i++) expect(link.trySend(packetOf(pool))).toBe(true);
  link.flush();
  link.tryWrite('later');
  unnamed.tryWrite('hello');
  stream.push(encode(`\0\xff${'x'.repeat(200)}`.replace('\xff', '\x7f')));
  await until(() => holders(pool).length >= 3);
  const found = holders(pool);
  expect(found).toContain('0 sending of laggard: 5');
  expect(found).toContain('0 writer of laggard: 1');
  expect(pool.who().text).toContain('5  sending of laggard');
  expect(inspect(link)).toContain("name: 'laggard'");
  link.destroy();
  unnamed.destroy();
  await until(() => link.closed && unnamed.closed);
  stream.destroy();
  await until(() => pool.stats().held === 0);
  expect(holders(pool)).toEqual([]);
  pool.close();
});

test('datagrams that are received and sent are counted as the link', async () => {
  const pool = BufferPool.create({ ...shape, bufferSize: 2048 });
  const kept: Packet[] = [];
  const server = await UdpLink.open(pool, {
    name: 'statsd',
    handler: (link) => ({
      onMessage: () => {
        kept.push(link.takePacket());
      },
    }),
  });
  const client = await UdpLink.open(pool, {
    peer: { host: '127.0.0.1', port: server.local.port },
    handler: () => ({ onMessage: () => {} }),
  });
  client.tryWrite('hello');
  client.tryWrite('again');
  await until(() => kept.length === 2);
  const receiving = holders(pool).filter((line) => line.includes('receiving of statsd'));
  expect(receiving.length).toBeLessThanOrEqual(1);
  expect(holders(pool)).toContain('0 packet: 2');
  for (const packet of kept) packet.release();
  await Promise.all([client.close(), server.close()]);
  await until(() => pool.stats().held === 0);
  expect(holders(pool)).toEqual([]);
  pool.close();
});

test('more named holders than there is room for are counted together', () => {
  const pool = BufferPool.create({ ...shape, bufferCount: 2 });
  const named = ['a', 'b', 'c', 'd'].map((name) => pool.holder(name));
  expect(new Set(named).size).toBe(3);
  for (const at of named) pool.note(at + 1, 1);
  expect(holders(pool).sort()).toEqual(['0 framer of a: 1', '0 framer of b: 1', '0 framer: 2']);
  for (const at of named) pool.note(at + 1, -1);
  pool.closeHolder(named[0] as number);
  expect(pool.holder('e')).toBe(named[0]);
  pool.close();
});

test('a dead thread is shown until it is reclaimed; the next one in its slot begins anew', () => {
  const pool = BufferPool.create(shape);
  const dead = BufferPool.attach(pool.handle);
  dead.nameThread('a name of more than thirty-one bytes, cut at äöü');
  dead.note(dead.holder('link 7') + 1, 1);
  dead.tryAcquire();
  const [, thread] = pool.who().threads;
  expect(thread).toMatchObject({ held: 1, name: 'a name of more than thirty-one ' });
  expect(holders(pool)).toEqual(['1 framer of link 7: 1']);
  const { threadSlot } = dead;
  die(dead);
  pool.declareExited(threadSlot);
  expect(pool.reclaim(threadSlot)).toBe(2);
  expect(holders(pool)).toEqual([]);
  const next = BufferPool.attach(pool.handle);
  expect(next.threadSlot).toBe(threadSlot);
  expect(pool.stats().threads[1]?.name).toBe(`thread ${threadSlot}`);
  next.detach();
  pool.close();
});

test('a wait that ends without a buffer says who has them', async () => {
  const pool = BufferPool.create({ ...shape, bufferCount: 4, batchSize: 1 });
  pool.nameThread('main');
  const writer = new PacketWriter(pool);
  const packets = [writer.tryWrite('a'), packetOf(pool), packetOf(pool), packetOf(pool)];
  const message =
    '1 ms; 4 of 4 buffers of pool "orders" are held; main: 4 packet; main: 1 packet writer';
  expect(() => pool.acquireSync(1)).toThrow(`acquireSync, ${message}`);
  await expect(pool.acquire({ timeoutMs: 1 })).rejects.toThrow(`acquire, ${message}`);
  for (const packet of packets) packet?.release();
  writer.close();
  pool.close();
});

test.each([1, 'x'.repeat(32), 'a\0'])('%j is no name', (name) => {
  expect(() => BufferPool.create({ ...shape, name: name as string })).toThrow(/name must be a st/);
  const pool = BufferPool.create(shape);
  const options = { kind: 'spsc', name: name as string } as const;
  expect(() => PacketChannel.create(pool, options)).toThrow(/name must be a string of up to 31/);
  pool.close();
});
