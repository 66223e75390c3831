// SPDX-License-Identifier: MIT
/** What hostile arguments once got past, or got the engine's own errors from. */
import { PacketChannel, WordChannel } from 'busbar/channel';
import { DelimiterCodec, Framer } from 'busbar/framer';
import { TcpLink, UdpAddress, UdpLink } from 'busbar/link';
import { Packet, readSendPacket, writeSendPacket } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, SharedWriter, WriteFlusher } from 'busbar/writer';
import { expect, test } from 'vitest';

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 8, maxThreads: 2 });
const flusher = WriteFlusher.create(pool);
const shared = SharedWriter.create(flusher);
const framer = new Framer(pool, new DelimiterCodec('\n'));
const packets = PacketChannel.create(pool, { kind: 'spsc', capacity: 2 }).sender();
const words = WordChannel.create(pool, { kind: 'spsc', capacity: 2 });
const [wordSender, wordReceiver] = [words.sender(), words.receiver()];
const packet = Packet.tryFrom(pool, new Uint8Array(4)) as Packet;
/** Whatever the types say. */
const bad = (value?: unknown): never => value as never;

const CALLS: readonly (readonly [what: string, argument: RegExp, call: () => unknown])[] = [
  ['Packet.wrap', /^pool must/, () => Packet.wrap(bad({}), bad(0), 0, 1)],
  ['Packet.tryFrom', /^pool must/, () => Packet.tryFrom(bad(7), new Uint8Array(1))],
  ['Packet.moveIn', /^pool must/, () => Packet.moveIn(bad(null), bad({}))],
  ['Packet.moveFrom', /^words must/, () => Packet.moveFrom(pool, bad(null), 0)],
  ['Packet.shatter', /^cuts must/, () => packet.shatter(bad(7))],
  ['Packet.moveInto', /^target must/, () => packet.moveInto(bad(7), 0)],
  ['readSendPacket', /^words must/, () => readSendPacket(bad({}), 0)],
  ['writeSendPacket', /^index must/, () => writeSendPacket(new Int32Array(4), 1, bad({}))],
  ['new Framer', /^pool must/, () => new Framer(bad({ bufferSize: 64 }), null)],
  ['Framer.feed', /^source must/, () => framer.feed(bad())],
  ['Framer.tryWrite', /^source must/, () => framer.tryWrite(bad(null))],
  ['new LocalWriter', /^flusher must/, () => new LocalWriter(bad({ pool }))],
  ['SharedWriter.create', /^flusher must/, () => SharedWriter.create(bad(7))],
  ['SharedWriter.attach', /^flusher must/, () => SharedWriter.attach(bad(), shared.handle)],
  ['SharedWriter.takeOver', /^ticket must/, () => shared.takeOver(bad(null))],
  ['SharedWriter.tryWrite', /^source must/, () => shared.tryWrite(bad())],
  ['PacketSender.trySendBatch', /^packets must/, () => packets.trySendBatch(bad(0), 0, 0)],
  ['WordSender.trySendBatch', /^source must/, () => wordSender.trySendBatch(bad())],
  ['WordReceiver.tryReceiveBatch', /^target must/, () => wordReceiver.tryReceiveBatch(bad())],
  ['UdpAddress.from', /^words must/, () => UdpAddress.from(bad(''))],
  ['UdpAddress.equals', /^other must/, () => UdpAddress.of('::1', 1).equals(bad(null))],
];

test.each(CALLS)('%s refuses it by name, and nothing has changed', (_what, argument, call) => {
  const before = pool.stats();
  expect(call).toThrow(argument);
  expect(call).toThrow(/^\w+ must be /);
  expect(pool.stats()).toEqual(before);
  expect(packet.released).toBe(false);
});

test('links reject by name anything but a pool, packet, bytes, options, group', async () => {
  await expect(TcpLink.connect(bad(7), bad({ port: 9 }))).rejects.toThrow(/^pool must/);
  await expect(UdpLink.open(bad(7), bad({}))).rejects.toThrow(/^pool must/);
  const link = await UdpLink.open(pool, { handler: () => ({ onMessage() {} }) });
  expect(() => link.trySend(bad())).toThrow(/^packet must/);
  expect(() => link.tryWrite(bad())).toThrow(/^payload must/);
  expect(() => link.join(bad({}))).toThrow(/^group must/);
  expect(() => link.setBroadcast(bad(1))).toThrow(/^wanted must/);
  expect(() => link.setMulticastInterface(bad(null))).toThrow(/^networkInterface must/);
  expect(() => link.copySource(bad({}))).toThrow(/^target must/);
  expect(() => link.close(bad(7))).toThrow(/^options must/);
  await link.close();
});

test('a block whose own version is another one is refused, whatever the handle says', () => {
  const VERSION_WORD = 1;
  for (const [handle, attach] of [
    [pool.handle, (each: never) => BufferPool.attach(each)],
    [flusher.handle, (each: never) => WriteFlusher.attach(pool, each)],
  ] as const) {
    const control = new Int32Array(new SharedArrayBuffer(handle.control.byteLength));
    control.set(new Int32Array(handle.control));
    control[VERSION_WORD]++;
    expect(() => attach(bad({ ...handle, control: control.buffer }))).toThrow(
      expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' }),
    );
  }
});
