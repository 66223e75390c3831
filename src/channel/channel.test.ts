// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { Packet } from '../packet/index.ts';
import { type BufferId, BufferPool } from '../pool/index.ts';
import { PacketChannel, WordChannel } from './index.ts';

const KINDS = ['spsc', 'mpsc', 'mpmc'] as const;
const CAPACITIES = [1, 2, 4, 64];

function createPool(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 256, maxThreads: 4, batchSize: 4 });
}

function packetOf(pool: BufferPool, number: number): Packet {
  const id = pool.tryAcquire();
  const offset = pool.offsetOf(id);
  pool.view.setUint32(offset, number, true);
  return Packet.wrap(pool, id, offset, 4);
}

function numberIn(packet: Packet | undefined): number {
  if (packet === undefined) return -1;
  const number = packet.getUint32(0, true);
  packet.release();
  return number;
}

function expectAllFree(pool: BufferPool): void {
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
}

describe.each(KINDS)('%s', (kind) => {
  test.each(CAPACITIES)(
    'holds exactly %i packets, first in, first out, lap after lap',
    (capacity) => {
      const pool = createPool();
      const channel = PacketChannel.create(pool, { kind, capacity });
      const sender = channel.sender();
      const receiver = channel.receiver();
      let sent = 0;
      let received = 0;
      for (let lap = 0; lap < 50; lap++) {
        while (sent - received < capacity)
          expect(sender.trySend(packetOf(pool, sent++))).toBe(true);
        const extra = packetOf(pool, 0);
        expect(sender.trySend(extra)).toBe(false);
        expect(extra.released).toBe(false);
        extra.release();
        const take = 1 + (lap % capacity);
        for (let i = 0; i < take; i++) expect(numberIn(receiver.tryReceive())).toBe(received++);
      }
      while (received < sent) expect(numberIn(receiver.tryReceive())).toBe(received++);
      expect(receiver.tryReceive()).toBeUndefined();
      expect(receiver.ended).toBe(false);
      expect(channel.stats()).toMatchObject({ sent, received, queued: 0, full: 50, empty: 1 });
      expectAllFree(pool);
    },
  );

  test.each(CAPACITIES)('carries words of every value through %i slots', (capacity) => {
    const channel = WordChannel.create(createPool(), { kind, capacity });
    const sender = channel.sender();
    const receiver = channel.receiver();
    for (const word of [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      expect(sender.trySend(word)).toBe(true);
      expect(receiver.tryReceive()).toBe(word);
      expect(receiver.tryReceive()).toBeUndefined();
    }
    expect(() => sender.trySend(2 ** 31)).toThrow(RangeError);
    expect(() => sender.trySend(0.5)).toThrow(RangeError);
    expect(() => sender.trySend('1' as never)).toThrow(TypeError);
    expect(receiver.tryReceive()).toBeUndefined();
  });

  test('batches take what fits, in order', () => {
    const pool = createPool();
    const words = WordChannel.create(pool, { kind, capacity: 8 });
    const [wordSender, wordReceiver] = [words.sender(), words.receiver()];
    const source = Int32Array.from({ length: 20 }, (_, i) => i);
    const target = new Int32Array(20);
    for (let begin = 0, end = 0; begin < 20; ) {
      end += wordSender.trySendBatch(source, end);
      expect(end - begin).toBeLessThanOrEqual(8);
      begin += wordReceiver.tryReceiveBatch(target, begin, Math.min(begin + 3, 20));
    }
    expect(target).toEqual(source);
    expect(wordSender.trySendBatch(source, 5, 5)).toBe(0);

    const channel = PacketChannel.create(pool, { kind, capacity: 8 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    const packets = Array.from({ length: 12 }, (_, i) => packetOf(pool, i));
    expect(sender.trySendBatch(packets)).toBe(8);
    expect(packets.map((packet) => packet.released)).toEqual(packets.map((_, i) => i < 8));
    expect(sender.trySendBatch(packets, 8)).toBe(0);
    const seen: number[] = [];
    expect(receiver.drain((packet) => seen.push(numberIn(packet)), 3)).toBe(3);
    expect(sender.trySendBatch(packets, 8)).toBe(3);
    expect(receiver.drain((packet) => seen.push(numberIn(packet)))).toBe(8);
    expect(seen).toEqual([...Array(11).keys()]);
    packets[11].release();
    expectAllFree(pool);
  });

  test('a tag goes with its packet, by every way', async () => {
    const pool = createPool();
    const channel = PacketChannel.create(pool, { kind, capacity: 8 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    const tagged = (number: number, tag: number): Packet => {
      const packet = packetOf(pool, number);
      packet.tag = tag;
      return packet;
    };
    const tags = [0, 7, -1, 2 ** 31 - 1, -(2 ** 31), 0, 1];
    const got: [number, number][] = [];
    const take = (packet: Packet | undefined): void => {
      const { tag } = packet as Packet;
      got.push([numberIn(packet), tag]);
    };
    const takeRegion = (id: BufferId, offset: number, _: number, tag: number): void => {
      got.push([pool.view.getUint32(offset, true), tag]);
      pool.release(id);
    };
    let next = 0;
    // More than one lap, so that each slot has had another tag.
    for (const tag of [...tags, ...tags]) {
      switch (next % 5) {
        case 0:
          expect(sender.trySend(tagged(next, tag))).toBe(true);
          break;
        case 1:
          await sender.send(tagged(next, tag));
          break;
        case 2:
          sender.sendSync(tagged(next, tag));
          break;
        case 3:
          expect(sender.trySendBatch([tagged(next, tag)])).toBe(1);
          break;
        case 4: {
          const id = pool.tryAcquire();
          pool.view.setUint32(pool.offsetOf(id), next, true);
          expect(sender.trySendRegion(id, pool.offsetOf(id), 4, tag)).toBe(true);
        }
      }
      next++;
      if (next % 7 !== 0) continue;
      take(receiver.tryReceive());
      take(await receiver.receive());
      take(receiver.receiveSync());
      const id = receiver.tryReceiveRegion();
      takeRegion(id, receiver.offset, receiver.length, receiver.tag);
      receiver.drain(take, 1);
      receiver.drainRegions(takeRegion, 1);
      for await (const packet of receiver) {
        take(packet);
        break;
      }
    }
    expect(got).toEqual([...tags, ...tags].map((tag, i) => [i, tag]));
    sender.trySendBatch([tagged(1, 5), packetOf(pool, 2)]);
    sender.close();
    await receiver.handle(take);
    expect(got.slice(-2)).toEqual([
      [1, 5],
      [2, 0],
    ]);
    expectAllFree(pool);
  });

  test('a channel that survives outlives its ends, and ends by close or destroy', async () => {
    const pool = createPool();
    const channel = PacketChannel.create(pool, { kind, capacity: 4, survives: true });
    const sender = channel.sender();
    sender.trySend(packetOf(pool, 1));
    sender.trySend(packetOf(pool, 2));
    sender.close();
    expect(channel.closed).toBe(false);
    const first = channel.receiver();
    expect(numberIn(first.tryReceive())).toBe(1);
    first.close();
    expect(channel.stats()).toMatchObject({ queued: 1, senders: 0, receivers: 0 });
    const successor = channel.sender();
    expect(successor.trySend(packetOf(pool, 3))).toBe(true);
    const second = channel.receiver();
    expect([numberIn(second.tryReceive()), numberIn(second.tryReceive())]).toEqual([2, 3]);
    const waiting = second.receive();
    successor.close();
    channel.close();
    expect(await waiting).toBeUndefined();
    expect(() => channel.sender().trySend(undefined as never)).toThrow();
    second.close();
    const other = PacketChannel.create(pool, { kind, capacity: 4, survives: true });
    const last = other.sender();
    last.trySend(packetOf(pool, 4));
    last.close();
    expect(other.destroy()).toBe(1);
    expect(() => PacketChannel.create(pool, { kind, survives: 1 as unknown as boolean })).toThrow(
      TypeError,
    );
    expectAllFree(pool);
  });

  test.each(['close', 'destroy'] as const)(
    'after %s, the last receiver to leave a channel that survives releases what is queued',
    (how) => {
      const pool = createPool();
      const channel = PacketChannel.create(pool, { kind, capacity: 4, survives: true });
      const [sender, receiver] = [channel.sender(), channel.receiver()];
      sender.trySend(packetOf(pool, 1));
      sender.trySend(packetOf(pool, 2));
      channel[how]();
      sender.close();
      expect(channel.stats().queued).toBe(2);
      receiver.close();
      expect(channel.stats().queued).toBe(0);
      expectAllFree(pool);
    },
  );

  test.each(['sender', 'receiver'] as const)(
    'without a living %s it goes on if it survives',
    (side) => {
      for (const survives of [true, false]) {
        const pool = createPool();
        const channel = PacketChannel.create(pool, { kind, capacity: 4, survives });
        const other = BufferPool.attach(pool.handle);
        const gone = PacketChannel.attach(other, channel.handle)[side]();
        const staying = side === 'sender' ? channel.receiver() : channel.sender();
        // A thread that has left the pool counts as one that died.
        other.detach();
        expect(channel.recover()).toBe(1);
        const looks = expect(() => staying.checkPeers());
        if (survives) looks.not.toThrow();
        else looks.toThrow(/has died/);
        gone.close();
        channel[side]().close();
        expect(channel.closed).toBe(!survives);
      }
    },
  );

  test('a tag that is no integer of 32 bits is refused before the claim', () => {
    const pool = createPool();
    const channel = PacketChannel.create(pool, { kind, capacity: 2 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    const packet = packetOf(pool, 1);
    const { bufferId, offset } = packet;
    const send = (tag: unknown) => () => sender.trySendRegion(bufferId, offset, 4, tag as number);
    for (const tag of [2 ** 31, 0.5, Number.NaN]) expect(send(tag)).toThrow(RangeError);
    for (const tag of ['1', null, {}, 1n]) expect(send(tag)).toThrow(TypeError);
    const sneaky = { valueOf: () => Number(sender.trySend(packet)) };
    expect(send(sneaky)).toThrow(TypeError);
    // It was sent within valueOf, and by nothing else.
    expect(numberIn(receiver.tryReceive())).toBe(1);
    expect(receiver.tryReceive()).toBeUndefined();
    expectAllFree(pool);
  });

  test('a batch stops in front of a packet that cannot be sent', () => {
    const pool = createPool();
    const channel = PacketChannel.create(pool, { kind, capacity: 8 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    const released = packetOf(pool, 9);
    released.release();
    const packets = [packetOf(pool, 0), packetOf(pool, 1), released, packetOf(pool, 3)];
    expect(sender.trySendBatch(packets)).toBe(2);
    expect(() => sender.trySendBatch(packets, 2)).toThrow(/used after it was released/);
    expect(() => sender.trySend(undefined as never)).toThrow(TypeError);
    expect(() => sender.trySendBatch([{} as Packet])).toThrow(TypeError);
    expect(numberIn(receiver.tryReceive())).toBe(0);
    expect(numberIn(receiver.tryReceive())).toBe(1);
    expect(receiver.tryReceive()).toBeUndefined();
    expect(sender.trySend(packets[3])).toBe(true);
    expect(numberIn(receiver.tryReceive())).toBe(3);
    expectAllFree(pool);
  });

  test.each(CAPACITIES)(
    'close: senders are refused, what is queued in %i is drained',
    (capacity) => {
      const pool = createPool();
      const channel = PacketChannel.create(pool, { kind, capacity });
      const [sender, receiver] = [channel.sender(), channel.receiver()];
      for (let lap = 0; lap < 3; lap++) {
        sender.trySend(packetOf(pool, 0));
        receiver.tryReceive()?.release();
      }
      for (let i = 0; i < capacity; i++) sender.trySend(packetOf(pool, i));
      channel.close();
      channel.close();
      const late = packetOf(pool, 99);
      expect(() => sender.trySend(late)).toThrow(/closed/);
      expect(() => sender.trySendRegion(late.bufferId, late.offset, 4)).toThrow(/closed/);
      expect(() => sender.trySendBatch([late])).toThrow(/closed/);
      late.release();
      for (let i = 0; i < capacity; i++) {
        expect(receiver.ended).toBe(false);
        expect(numberIn(receiver.tryReceive())).toBe(i);
      }
      expect(receiver.tryReceive()).toBeUndefined();
      expect(receiver.ended).toBe(true);
      expect(channel.closed).toBe(true);
      expectAllFree(pool);
    },
  );

  test('the last to leave a side closes the channel, and releases the rest', async () => {
    const pool = createPool();
    const first = PacketChannel.create(pool, { kind, capacity: 4 });
    const [sender, receiver] = [first.sender(), first.receiver()];
    sender.trySend(packetOf(pool, 7));
    sender.close();
    sender.close();
    expect(() => sender.trySend(packetOf(pool, 8))).toThrow(/closed/);
    expect(numberIn(await receiver.receive())).toBe(7);
    expect(await receiver.receive()).toBeUndefined();

    const second = PacketChannel.create(pool, { kind, capacity: 4 });
    const [giver, taker] = [second.sender(), second.receiver()];
    giver.trySend(packetOf(pool, 1));
    giver.trySend(packetOf(pool, 2));
    taker.close();
    expect(taker.ended).toBe(true);
    expect(() => giver.trySend(packetOf(pool, 3))).toThrow(/closed/);
    expect(second.stats().queued).toBe(0);
  });

  test('waits are served in order and can be given up without losing anything', async () => {
    const pool = createPool();
    const channel = PacketChannel.create(pool, { kind, capacity: 1 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    const waiting = [receiver.receive(), receiver.receive()];
    await sender.send(packetOf(pool, 0));
    await sender.send(packetOf(pool, 1));
    expect((await Promise.all(waiting)).map(numberIn)).toEqual([0, 1]);

    await sender.send(packetOf(pool, 2));
    const stop = new AbortController();
    const third = packetOf(pool, 3);
    const given = sender.send(third, { signal: stop.signal });
    const fourth = sender.send(packetOf(pool, 4));
    expect(sender.trySend(third)).toBe(false);
    stop.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    expect(numberIn(receiver.tryReceive())).toBe(2);
    await fourth;
    const again = sender.send(third);
    expect(numberIn(receiver.tryReceive())).toBe(4);
    await again;
    expect(numberIn(await receiver.receive())).toBe(3);
    await expect(receiver.receive({ timeoutMs: 1 })).rejects.toMatchObject({
      code: 'ERR_BUSBAR_TIMEOUT',
    });
    expect(() => receiver.receiveSync(1)).toThrow(/receiveSync/);
    await sender.send(packetOf(pool, 5));
    const sixth = packetOf(pool, 6);
    expect(() => sender.sendSync(sixth, 1)).toThrow(/sendSync/);
    expect(sixth.released).toBe(false);
    sixth.release();
    expect(numberIn(receiver.receiveSync())).toBe(5);
    expectAllFree(pool);
  });

  test('waiters learn of a close', async () => {
    const pool = createPool();
    const empty = PacketChannel.create(pool, { kind, capacity: 1 });
    const receiver = empty.receiver();
    const received = receiver.receive();
    empty.close();
    expect(await received).toBeUndefined();

    const full = PacketChannel.create(pool, { kind, capacity: 1 });
    const sender = full.sender();
    full.receiver();
    await sender.send(packetOf(pool, 0));
    const waiting = packetOf(pool, 1);
    const refused = sender.send(waiting);
    full.close();
    await expect(refused).rejects.toMatchObject({ code: 'ERR_BUSBAR_CHANNEL_CLOSED' });
    expect(waiting.released).toBe(false);
  });

  test('for await ends when the channel does', async () => {
    const pool = createPool();
    const channel = PacketChannel.create(pool, { kind, capacity: 4 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    const producing = (async () => {
      for (let i = 0; i < 20; i++) await sender.send(packetOf(pool, i));
      sender.close();
    })();
    const seen: number[] = [];
    for await (const packet of receiver) seen.push(numberIn(packet));
    await producing;
    expect(seen).toEqual([...Array(20).keys()]);
    expectAllFree(pool);
  });

  test('a callback that throws, or that receives itself, loses nothing', () => {
    const pool = createPool();
    const channel = PacketChannel.create(pool, { kind, capacity: 16 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    for (let i = 0; i < 10; i++) sender.trySend(packetOf(pool, i));
    const seen: number[] = [];
    const bad = (packet: Packet): void => {
      seen.push(numberIn(packet));
      if (seen.length === 3) throw new Error('three');
    };
    expect(() => receiver.drain(bad)).toThrow('three');
    receiver.drain((packet) => {
      seen.push(numberIn(packet), numberIn(receiver.tryReceive()));
    }, 2);
    receiver.drain((packet) => {
      seen.push(numberIn(packet));
      receiver.drain((inner) => seen.push(numberIn(inner)), 2);
    });
    expect(seen).toEqual([...Array(10).keys()]);
    expect(channel.stats()).toMatchObject({ sent: 10, received: 10, queued: 0 });
    expectAllFree(pool);
  });

  test('a look for news claims nothing and sees what is there', () => {
    const pool = createPool();
    const channel = WordChannel.create(pool, { kind, capacity: 2 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    for (let lap = 0; lap < 5; lap++) {
      expect(receiver.hasNews).toBe(false);
      sender.trySend(lap);
      expect(receiver.hasNews && receiver.hasNews).toBe(true);
      expect(receiver.tryReceive()).toBe(lap);
    }
    channel.close();
    expect(receiver.hasNews).toBe(true);
    expect(receiver.tryReceive()).toBeUndefined();
    receiver.close();
    expect(receiver.hasNews).toBe(false);
  });

  test('a ready callback comes once for each time it was asked for', async () => {
    const pool = createPool();
    const channel = PacketChannel.create(pool, { kind, capacity: 4 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    let ready = () => {};
    const nextReady = () => new Promise<void>((resolve) => (ready = resolve));
    receiver.setReadyCallback(() => ready());
    for (let i = 0; i < 3; i++) {
      const rung = nextReady();
      expect(receiver.arm()).toBe(true);
      await sender.send(packetOf(pool, i));
      await rung;
      expect(receiver.arm()).toBe(false);
      expect(numberIn(receiver.tryReceive())).toBe(i);
    }
    const rung = nextReady();
    expect(receiver.arm()).toBe(true);
    channel.close();
    await rung;
    expect(receiver.tryReceive()).toBeUndefined();
    expect(receiver.ended).toBe(true);
    expectAllFree(pool);
  });
});

test('a kind with one sender or receiver allows only one, until it closes', () => {
  const pool = createPool();
  const spsc = PacketChannel.create(pool, { kind: 'spsc', capacity: 1 });
  const sender = spsc.sender();
  expect(() => spsc.sender()).toThrow(expect.objectContaining({ code: 'ERR_BUSBAR_CHANNEL_ROLE' }));
  const mpsc = PacketChannel.create(pool, { kind: 'mpsc', capacity: 1 });
  mpsc.sender();
  mpsc.sender();
  mpsc.receiver();
  expect(() => mpsc.receiver()).toThrow(/already/);
  const mpmc = PacketChannel.create(pool, { kind: 'mpmc', capacity: 1 });
  mpmc.receiver();
  mpmc.receiver();
  expect(mpmc.stats()).toMatchObject({ senders: 0, receivers: 1 });
  sender.close();
  expect(spsc.sender().closed).toBe(false);
});

test('several senders and receivers of one thread share what is sent', () => {
  const pool = createPool();
  const channel = PacketChannel.create(pool, { kind: 'mpmc', capacity: 8 });
  const senders = [channel.sender(), channel.sender()];
  const receivers = [channel.receiver(), channel.receiver()];
  const seen: number[] = [];
  for (let i = 0; i < 40; i++) {
    senders[i % 2].trySend(packetOf(pool, i));
    if (i % 3 === 2) for (let j = 0; j < 3; j++) seen.push(numberIn(receivers[j % 2].tryReceive()));
  }
  seen.push(numberIn(receivers[0].tryReceive()));
  expect(seen).toEqual([...Array(40).keys()]);
  senders[0].close();
  expect(channel.closed).toBe(false);
  senders[1].close();
  expect(channel.closed).toBe(true);
  expectAllFree(pool);
});

test('callers that wait are rejected when their thread leaves the pool', async () => {
  for (const kind of KINDS) {
    const pool = createPool();
    const other = BufferPool.attach(pool.handle);
    const { handle } = PacketChannel.create(pool, { kind, capacity: 1 });
    const receiver = PacketChannel.attach(other, handle).receiver();
    const received = receiver.receive();
    other.detach();
    await expect(received).rejects.toMatchObject({ code: 'ERR_BUSBAR_DETACHED' });
    expect(PacketChannel.attach(pool, handle).receiver().closed).toBe(false);
  }
});

test('a ready callback that throws leaves the others their bell', async () => {
  const pool = createPool();
  const channels = [0, 1].map(() => WordChannel.create(pool, { kind: 'spsc', capacity: 1 }));
  const senders = channels.map((channel) => channel.sender());
  const receivers = channels.map((channel) => channel.receiver());
  const thrown = new Promise((resolve) => process.once('unhandledRejection', resolve));
  const rung = new Promise<void>((resolve) => receivers[1].setReadyCallback(resolve));
  receivers[0].setReadyCallback(() => {
    throw new Error('in the callback');
  });
  for (const receiver of receivers) receiver.arm();
  senders[0].trySend(1);
  expect(await thrown).toMatchObject({ message: 'in the callback' });
  senders[1].trySend(1);
  await rung;
});

test('the same packet twice in a batch is sent once', () => {
  for (const kind of KINDS) {
    const pool = createPool();
    const channel = PacketChannel.create(pool, { kind, capacity: 4 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    const packet = packetOf(pool, 1);
    const clone = packet.clone();
    expect(sender.trySendBatch([packet, packet])).toBe(1);
    expect(numberIn(receiver.tryReceive())).toBe(1);
    expect(receiver.tryReceive()).toBeUndefined();
    clone.release();
    expectAllFree(pool);
  }
});

test('destroy empties a channel that nobody receives from', () => {
  const pool = createPool();
  const channel = PacketChannel.create(pool, { kind: 'mpmc', capacity: 4 });
  const sender = channel.sender();
  for (let i = 0; i < 3; i++) sender.trySend(packetOf(pool, i));
  expect(channel.destroy()).toBe(3);
  expect(channel.destroy()).toBe(0);
  expectAllFree(pool);
});

test('options and handles are checked', () => {
  const pool = createPool();
  const create = (options: object) => PacketChannel.create(pool, options as never);
  expect(() => create({ kind: 'spmc' })).toThrow(/kind must be one of spsc, mpsc, mpmc/);
  expect(() => create({ kind: 'spsc', capacity: 3 })).toThrow(/power of two/);
  expect(() => create({ kind: 'spsc', capacity: 0 })).toThrow(RangeError);
  expect(() => create({ kind: 'spsc', size: 1 })).toThrow(/no option "size"/);
  const words = WordChannel.create(pool, { kind: 'spsc' });
  expect(words.capacity).toBe(1024);
  const bad = (handle: unknown, from = pool) => {
    expect(() => PacketChannel.attach(from, handle as never)).toThrow(
      expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' }),
    );
  };
  bad(undefined);
  bad({});
  bad(words.handle);
  const { handle } = PacketChannel.create(pool, { kind: 'mpsc', capacity: 2 });
  bad({ ...handle, version: 99 });
  bad({ ...handle, control: new SharedArrayBuffer(8) });
  bad({ ...handle, control: new SharedArrayBuffer(1 << 16) });
  for (const [word, value] of [1, 4].flatMap((at) => [0, 6, -2].map((forged) => [at, forged]))) {
    const forged = new Int32Array(handle.control.slice(0) as never);
    forged[word] = value;
    bad({ ...handle, control: forged.buffer });
  }
  expect(() => PacketChannel.create(null as never, { kind: 'spsc' })).toThrow(
    /must be a BufferPool/,
  );
  bad(handle, createPool());
  expect(PacketChannel.attach(pool, handle).kind).toBe('mpsc');
});
