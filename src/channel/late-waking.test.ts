// SPDX-License-Identifier: MIT
/** An end of a channel that sleeps while the other one makes progress, and dies on the way. */

import { describe, expect, test } from 'vitest';
import { dieAt } from '../../test/accesses.ts';
import { auditPool } from '../../test/pool-audit.ts';
import { die } from '../../test/simulated-death.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { CHANNEL_KINDS } from './channel-layout.ts';
import { PacketChannel } from './index.ts';

function create(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 16, batchSize: 2, maxThreads: 4 });
}

function packetOf(pool: BufferPool, text: string): Packet {
  return Packet.tryFrom(pool, text) as Packet;
}

function take(packet: Packet | undefined): string {
  const text = packet?.toString() ?? 'nothing';
  packet?.release();
  return text;
}

/** Frees what the dead have left, and the channel; checks that every buffer is back. */
function bury(channel: PacketChannel, pool: BufferPool, dead: readonly BufferPool[]): void {
  channel.recover();
  for (const each of dead) pool.reclaim(each.threadSlot);
  channel.destroy();
  expect(auditPool(pool)).toEqual([]);
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
}

describe.each(CHANNEL_KINDS)('%s', (kind) => {
  const options = { kind, capacity: 2, survives: true } as const;

  test('a receiver that sleeps hears of a message whose sender died before it rang', async () => {
    for (let k = 1, isDone = false; !isDone; k++) {
      const pool = create();
      const other = BufferPool.attach(pool.handle);
      const channel = PacketChannel.create(pool, options);
      const receiver = channel.receiver();
      const heard = receiver.receive();
      const sender = PacketChannel.attach(other, channel.handle).sender();
      const packet = packetOf(other, 'first');
      isDone = !dieAt(k, () => sender.trySend(packet));
      if (isDone) {
        expect(take(await heard)).toBe('first');
        sender.close();
        other.detach();
        bury(channel, pool, []);
        continue;
      }
      die(other);
      channel.recover();
      pool.reclaim(other.threadSlot);
      const next = channel.sender();
      // A new sender rings, whatever the dead one has left.
      expect(next.trySend(packetOf(pool, 'second'))).toBe(true);
      const texts = [take(await heard), take(receiver.tryReceive())];
      // The first one, if it was published, and what came after it.
      expect(['first second', 'second nothing']).toContain(texts.join(' '));
      bury(channel, pool, []);
    }
  });

  test('a sender that sleeps hears of room whose receiver died before it rang', async () => {
    for (let k = 1, isDone = false; !isDone; k++) {
      const pool = create();
      const other = BufferPool.attach(pool.handle);
      const channel = PacketChannel.create(pool, options);
      const sender = channel.sender();
      for (const text of ['a', 'b']) expect(sender.trySend(packetOf(pool, text))).toBe(true);
      const sent = sender.send(packetOf(pool, 'c'));
      const receiver = PacketChannel.attach(other, channel.handle).receiver();
      const texts: string[] = [];
      isDone = !dieAt(k, () => {
        for (let packet = receiver.tryReceive(); packet; packet = receiver.tryReceive()) {
          texts.push(packet.toString());
          packet.release();
        }
      });
      if (isDone) {
        await sent;
        receiver.close();
        other.detach();
      } else {
        die(other);
        channel.recover();
        pool.reclaim(other.threadSlot);
      }
      const next = channel.receiver();
      for (let i = 0; i < 3 && !texts.includes('c'); i++) {
        if (i > 0) await sent;
        for (let packet = next.tryReceive(); packet; packet = next.tryReceive()) {
          texts.push(take(packet));
        }
      }
      await sent;
      // One may have been in the dead thread's hand.
      expect(['abc', 'bc', 'ac', 'c']).toContain(texts.join(''));
      bury(channel, pool, []);
    }
  });

  test('both ends die within their wake-ups, and who comes after them gets what is left', () => {
    for (let k = 1, isDone = false; !isDone; k++) {
      const pool = create();
      const [one, two] = [BufferPool.attach(pool.handle), BufferPool.attach(pool.handle)];
      const channel = PacketChannel.create(pool, options);
      const sender = PacketChannel.attach(one, channel.handle).sender();
      const receiver = PacketChannel.attach(two, channel.handle).receiver();
      expect(receiver.arm()).toBe(true);
      const packets = ['a', 'b', 'c'].map((text) => packetOf(one, text));
      const hasSent = !dieAt(k, () => {
        for (const packet of packets) sender.trySend(packet);
      });
      const hasTaken = !dieAt(k, () => {
        for (let packet = receiver.tryReceive(); packet; packet = receiver.tryReceive()) {
          packet.release();
        }
      });
      isDone = hasSent && hasTaken;
      die(one);
      die(two);
      channel.recover();
      for (const each of [one, two]) pool.reclaim(each.threadSlot);
      const next = channel.sender();
      const last = channel.receiver();
      expect(next.trySend(packetOf(pool, 'last')) || channel.stats().queued > 0).toBe(true);
      let texts = '';
      for (let packet = last.tryReceive(); packet; packet = last.tryReceive())
        texts += take(packet);
      expect(['', 'a', 'b', 'ab'].map((rest) => `${rest}last`).concat('ab')).toContain(texts);
      bury(channel, pool, []);
    }
  });
});

describe.each(CHANNEL_KINDS)('two pools of one shape, %s', (kind) => {
  const TEXTS = ['m0', 'm1', 'm2', 'm3'];

  test('a thread that copies packets from one to the other may die before any access', () => {
    for (let k = 1, isDone = false; !isDone; k++) {
      const pools = [create(), create()] as const;
      const dying = pools.map((pool) => BufferPool.attach(pool.handle));
      const channels = pools.map((pool) => PacketChannel.create(pool, { kind, capacity: 4 }));
      const [from, to] = channels as [PacketChannel, PacketChannel];
      const sender = from.sender();
      const receiver = to.receiver();
      for (const text of TEXTS) sender.trySend(packetOf(pools[0], text));
      const source = PacketChannel.attach(dying[0] as BufferPool, from.handle).receiver();
      const target = PacketChannel.attach(dying[1] as BufferPool, to.handle).sender();
      isDone = !dieAt(k, () => {
        for (let packet = source.tryReceive(); packet; packet = source.tryReceive()) {
          const copy = packetOf(dying[1] as BufferPool, packet.toString());
          packet.release();
          target.trySend(copy);
        }
      });
      for (const [i, each] of dying.entries()) {
        die(each);
        channels[i]?.recover();
        pools[i]?.reclaim(each.threadSlot);
      }
      const texts: string[] = [];
      let packet = receiver.tryReceive();
      for (; packet !== undefined; packet = receiver.tryReceive()) texts.push(take(packet));
      const rest = from.receiver();
      packet = rest.tryReceive();
      for (; packet !== undefined; packet = rest.tryReceive()) texts.push(take(packet));
      // Each once, in order; one may have been in the dead thread's hand.
      expect(texts).toEqual(TEXTS.filter((text) => texts.includes(text)));
      expect(texts.length).toBeGreaterThanOrEqual(isDone ? 4 : 3);
      for (const [i, pool] of pools.entries()) bury(channels[i] as PacketChannel, pool, []);
    }
  });

  test('numbers of one mean nothing in the other, and change nothing there', () => {
    const [one, two] = [create(), create()];
    const channel = PacketChannel.create(two, { kind, capacity: 4 });
    const sender = channel.sender();
    const words = new Int32Array(4);
    const packet = packetOf(one, 'of one');
    expect(() => sender.trySend(packet)).toThrow(TypeError);
    const id = packet.bufferId;
    one.retain(id);
    expect(() => sender.trySendRegion(id, packet.offset, packet.length)).toThrow(/NOT_HELD|no ref/);
    one.moveInto(id, packet.offset, packet.length, words, 0);
    const before = words.slice();
    expect(() => two.moveFrom(words, 0)).toThrow(/another pool/);
    expect(words).toEqual(before);
    expect(auditPool(two)).toEqual([]);
    expect(one.moveFrom(words, 0)).toBe(id);
    one.release(id);
    packet.release();
    expect(() => PacketChannel.attach(one, channel.handle)).toThrow(/another pool/);
    bury(channel, two, []);
    expect(auditPool(one)).toEqual([]);
    expect(one.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  });
});
