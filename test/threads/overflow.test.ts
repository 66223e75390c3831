// SPDX-License-Identifier: MIT
/** Stack overflows inside the library, in a thread that catches them and continues. */
import { describe, expect, it } from 'vitest';
import { Bus, type BusSubscription } from '../../src/bus/index.ts';
import { CHANNEL_KINDS } from '../../src/channel/channel-layout.ts';
import { PacketChannel, WordChannel } from '../../src/channel/index.ts';
import { Packet, PacketWriter } from '../../src/packet/index.ts';
import { type BufferId, BufferPool } from '../../src/pool/index.ts';
import { SeqLock } from '../../src/sync/index.ts';
import { auditPool } from '../pool-audit.ts';
import { uncaughtDuring } from '../uncaught.ts';

const ROUNDS = 40;
/** Where a round has sixteen operations. */
const ROUNDS_OF_MANY = 10;
/** Levels of the recursion that is left at which the operation is tried once it succeeds. */
const TRIES = 3;

/** Calls `operation` with no stack left, then with a little more and more; counts the overflows. */
function squeeze(operation: () => void): number {
  let overflows = 0;
  let done = 0;
  const dive = (): void => {
    try {
      dive();
    } catch {}
    if (done >= TRIES) return;
    try {
      operation();
      done++;
    } catch (error) {
      if (!(error instanceof RangeError && /call stack/.test(error.message))) throw error;
      overflows++;
    }
  };
  dive();
  return overflows;
}

function makePool(batchSize: number): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 64, batchSize, maxThreads: 4 });
}

/** Nothing is held any more: the words agree, and every buffer can be had. */
function expectWhole(pool: BufferPool): void {
  expect(auditPool(pool)).toEqual([]);
  const held: BufferId[] = [];
  for (let id = pool.tryAcquire(); id >= 0; id = pool.tryAcquire()) held.push(id);
  expect(held.length).toBe(pool.bufferCount);
  for (const id of held) pool.release(id);
  expect(auditPool(pool)).toEqual([]);
}

describe.each([2, 16])('a caught stack overflow, batches of %i', (batchSize) => {
  it('in the last release of a shared buffer leaves the reference', () => {
    const pool = makePool(batchSize);
    const words = new Int32Array(4);
    let overflows = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const id = pool.tryAcquire();
      pool.retain(id);
      pool.moveInto(id, pool.offsetOf(id), 0, words, 0);
      pool.moveFrom(words, 0);
      pool.release(id);
      let isHeld = true;
      overflows += squeeze(() => {
        if (!isHeld) return;
        pool.release(id);
        isHeld = false;
      });
      expect(isHeld).toBe(false);
      expect(auditPool(pool)).toEqual([]);
    }
    expect(overflows).toBeGreaterThan(0);
    expectWhole(pool);
  });

  it('while a caller waits does not keep the buffer from it', async () => {
    const pool = makePool(batchSize);
    const other = BufferPool.attach(pool.handle);
    for (let round = 0; round < 4; round++) {
      const held: BufferId[] = [];
      for (let id = pool.tryAcquire(); id >= 0; id = pool.tryAcquire()) held.push(id);
      const wait = other.acquire();
      squeeze(() => {
        pool.tryAcquire();
      });
      squeeze(() => {
        if (held.length === 0) return;
        pool.release(held[held.length - 1]);
        held.length--;
      });
      other.release(await wait);
      for (const id of held) pool.release(id);
    }
    other.detach();
    expectWhole(pool);
  });
});

describe.each(CHANNEL_KINDS)('a caught stack overflow in a channel, %s', (kind) => {
  const CAPACITY = 8;

  it('changes nothing: each word arrives once, and sleepers are rung', async () => {
    const pool = makePool(16);
    const other = BufferPool.attach(pool.handle);
    const channel = WordChannel.create(pool, { kind, capacity: CAPACITY });
    const sender = channel.sender();
    const receiver = WordChannel.attach(other, channel.handle).receiver();
    const words = new Int32Array(3);
    const received: number[] = [];
    let overflows = 0;
    let sent = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const rung = new Promise<void>((resolve) => receiver.setReadyCallback(resolve));
      expect(receiver.arm()).toBe(true);
      let isSent = false;
      overflows += squeeze(() => {
        if (!isSent) isSent = sender.trySend(sent);
      });
      sent++;
      await rung;
      let count = 0;
      for (let i = 0; i < 3; i++) words[i] = sent + i;
      overflows += squeeze(() => {
        if (count < 3) count += sender.trySendBatch(words, count);
      });
      sent += 3;
      // One more than there is room for: its sender sleeps.
      while (sender.trySend(sent)) sent++;
      const waiting = sender.send(sent++);
      let word: number | undefined;
      overflows += squeeze(() => {
        if (word === undefined) word = receiver.tryReceive();
      });
      received.push(word as number);
      await waiting;
      let taken = 0;
      const target = new Int32Array(CAPACITY);
      overflows += squeeze(() => {
        if (taken === 0) taken = receiver.tryReceiveBatch(target, 0, 2);
      });
      received.push(...target.subarray(0, taken));
      // A callback makes no call of its own here, so it has done what it does, or was not begun.
      let handed = 0;
      overflows += squeeze(() => {
        receiver.drain((next) => {
          target[handed++] = next;
        }, 1);
      });
      received.push(...target.subarray(0, handed));
      for (let next = receiver.tryReceive(); next !== undefined; next = receiver.tryReceive()) {
        received.push(next);
      }
    }
    expect(overflows).toBeGreaterThan(ROUNDS);
    expect(received).toEqual(Array.from({ length: sent }, (_, i) => i));
    receiver.close();
    sender.close();
    other.detach();
  });

  it('keeps packets where they were, by object, by number and in batches', async () => {
    const pool = makePool(16);
    const other = BufferPool.attach(pool.handle);
    const channel = PacketChannel.create(pool, { kind, capacity: CAPACITY });
    const sender = channel.sender();
    const receiver = PacketChannel.attach(other, channel.handle).receiver();
    const make = (message: number) => Packet.tryFrom(pool, Uint8Array.of(message)) as Packet;
    const expectNext = (message: number, packet: Packet | undefined) => {
      expect(packet?.getUint8(0)).toBe(message);
      packet?.release();
    };
    let overflows = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const rung = new Promise<void>((resolve) => receiver.setReadyCallback(resolve));
      expect(receiver.arm()).toBe(true);
      const one = make(1);
      overflows += squeeze(() => {
        if (!one.released) sender.trySend(one);
      });
      await rung;
      const id = pool.tryAcquire();
      pool.bytes[pool.offsetOf(id)] = 2;
      let isSent = false;
      overflows += squeeze(() => {
        if (!isSent) isSent = sender.trySendRegion(id, pool.offsetOf(id), 1);
      });
      const two = [make(3), make(4)];
      let count = 0;
      overflows += squeeze(() => {
        if (count < 2) count += sender.trySendBatch(two, count);
      });
      expect(two.every((packet) => packet.released)).toBe(true);
      let packet: Packet | undefined;
      overflows += squeeze(() => {
        packet ??= receiver.tryReceive();
      });
      expectNext(1, packet);
      let taken = -1;
      overflows += squeeze(() => {
        if (taken < 0) taken = receiver.tryReceiveRegion();
      });
      expect(other.bytes[receiver.offset]).toBe(2);
      other.release(taken as BufferId);
      expectNext(3, receiver.tryReceive());
      expectNext(4, receiver.tryReceive());
      expect(receiver.tryReceive()).toBeUndefined();
    }
    expect(overflows).toBeGreaterThan(ROUNDS);
    let isClosed = false;
    squeeze(() => {
      receiver.close();
      sender.close();
      isClosed = true;
    });
    expect(isClosed).toBe(true);
    other.detach();
    expectWhole(pool);
  });
});

describe('a caught stack overflow loses no reference', () => {
  const take = (pool: BufferPool): Packet => Packet.tryFrom(pool, Uint8Array.of(1, 2, 3)) as Packet;
  /** Returns what the caller has to release. */
  type Operation = (packet: Packet) => readonly Packet[];

  it.each<[string, Operation]>([
    ['Packet.clone', (packet) => [packet.clone()]],
    ['Packet.slice', (packet) => [packet.slice(1)]],
    ['Packet.shatter', (packet) => (packet.released ? [] : packet.shatter([1, 2]))],
  ])('%s', (_, operation) => {
    const pool = makePool(16);
    let overflows = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const packet = take(pool);
      const made: Packet[] = [];
      overflows += squeeze(() => {
        const pieces = operation(packet);
        for (let i = 0; i < pieces.length; i++) made[made.length] = pieces[i];
      });
      if (!packet.released) packet.release();
      for (const piece of made) piece.release();
    }
    expect(overflows).toBeGreaterThan(0);
    expectWhole(pool);
  });

  it('PacketWriter', () => {
    const pool = makePool(16);
    const writer = new PacketWriter(pool);
    const bytes = new Uint8Array(40);
    for (let round = 0; round < ROUNDS; round++) {
      const made: Packet[] = [];
      squeeze(() => {
        const packet = writer.tryWrite(bytes);
        if (packet !== undefined) made[made.length] = packet;
      });
      squeeze(() => {
        writer.releaseIdle();
      });
      for (const packet of made) packet.release();
    }
    writer.close();
    expectWhole(pool);
  });

  it('Bus: handlers and onError that overflow or throw, and what is published later', async () => {
    const pool = makePool(16);
    let count = 0;
    const thrown = await uncaughtDuring(async () => {
      const bus = new Bus(pool, {
        onError: () => {
          throw new Error('onError');
        },
      });
      const dive = (): number => 1 + dive();
      bus.subscribe('deep', () => {
        dive();
      });
      bus.subscribe('*', () => {
        count++;
      });
      bus.subscribe('slow', { limit: { messages: 1 }, overflow: 'cut-off', onError: dive });
      for (let round = 0; round < ROUNDS; round++) {
        squeeze(() => {
          bus.tryPublish('deep', 'text');
        });
        expect(auditPool(pool)).toEqual([]);
        const before = count;
        bus.tryPublish('plain', 'text');
        expect(count).toBe(before + 1);
      }
      for (let i = 0; i < 3; i++) expect(bus.tryPublish('slow', 'text')).toBe(true);
      await new Promise(setImmediate);
      expect(bus.stats().backlog).toBe(0);
      bus.close();
    });
    expect(thrown.filter((message) => message === 'onError').length).toBeGreaterThan(ROUNDS);
    expect(thrown.some((message) => /call stack/.test(message))).toBe(true);
    expectWhole(pool);
  });

  it('Bus.subscribe, close and drain: all of the bus knows, or nothing', () => {
    const pool = makePool(16);
    const bus = new Bus(pool);
    const subjects = ['a.b.c', 'a.b', 'a.*', '*.b', 'a.>', '>', 'a.b.d', 'a'];
    let overflows = 0;
    let count = 0;
    for (let round = 0; round < ROUNDS_OF_MANY; round++) {
      const made: BusSubscription[] = [];
      for (const [i, subject] of subjects.entries()) {
        const options = i % 3 === 0 ? { queue: `q${round}.${i}` } : {};
        overflows += squeeze(() => {
          made[made.length] = bus.subscribe(subject, options, () => void count++);
        });
        expect(bus.stats().subscriptions).toBe(made.length);
      }
      const before = count;
      expect(bus.tryPublish('a.b', '')).toBe(true);
      expect(count - before).toBe(13);
      for (const [i, each] of made.entries()) {
        overflows += squeeze(() => {
          if (i % 2 === 0) each.close();
          else void each.drain();
        });
        expect(bus.stats().subscriptions).toBe(made.length - i - 1);
      }
      const { unmatched } = bus.stats();
      expect(bus.tryPublish('a.b', '')).toBe(true);
      expect(bus.stats().unmatched).toBe(unmatched + 1);
    }
    expect(overflows).toBeGreaterThan(ROUNDS);
    squeeze(() => bus.close());
    expectWhole(pool);
  });

  it('Bus: what is published first to nobody, and then to queues', async () => {
    let overflows = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const pool = makePool(16);
      const bus = new Bus(pool);
      expect(bus.tryPublish('a', 'nobody')).toBe(true);
      const loops = [bus.subscribe('a'), bus.subscribe('a', { queue: 'q' }), bus.subscribe('>')];
      let sent = 0;
      overflows += squeeze(() => {
        if (bus.tryPublish('a', 'text')) sent++;
      });
      expect(loops.map(({ held }) => held)).toEqual([sent, sent, sent]);
      bus.close();
      expectWhole(pool);
    }
    expect(overflows).toBeGreaterThan(0);
  });

  it('SeqLock: its writers continue', async () => {
    const pool = makePool(16);
    const lock = SeqLock.create(pool, { words: 2 });
    const values = Int32Array.of(1, 2);
    let overflows = 0;
    for (let round = 0; round < ROUNDS; round++) {
      overflows += squeeze(() => {
        lock.tryWrite(values);
      });
      await Promise.resolve();
      expect(lock.tryWrite(values)).toBe('written');
    }
    expect(overflows).toBeGreaterThan(0);
  });
});
