// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { arbitrarySeed, Random } from '../base/random.ts';
import { BufferPool } from '../pool/index.ts';
import { ChannelLayout, HEAD, LAP_SHIFT, TAIL } from './channel-layout.ts';
import { PacketChannel, WordChannel } from './index.ts';

const seed = Number(process.env.BUSBAR_TEST_SEED ?? arbitrarySeed());
const replay = `replay with BUSBAR_TEST_SEED=${seed}`;
const THREADS = 4;

function createPool(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 16, maxThreads: 8, batchSize: 2 });
}

/** The ends of several attached pools: to a channel, several threads. */
function attachAll(channel: WordChannel, pool: BufferPool): WordChannel[] {
  return Array.from({ length: THREADS }, () =>
    WordChannel.attach(BufferPool.attach(pool.handle), channel.handle),
  );
}

/** Brings an empty, unused channel of words to where it would be after `position` messages. */
function moveOn(channel: WordChannel, maxThreads: number, position: number): void {
  const { kind, capacity, handle } = channel;
  const words = new Int32Array(handle.control);
  const layout = new ChannelLayout(kind, 'words', capacity, maxThreads);
  const unit = kind === 'spsc' ? 4 : 1;
  words[TAIL] = position * unit;
  words[HEAD] = position * unit;
  if (kind === 'spsc') return;
  for (let slot = 0; slot < capacity; slot++) {
    const behind = slot < (position & (capacity - 1)) ? 1 : 0;
    words[layout.slots + slot * layout.slotWords] =
      ((position >>> Math.log2(capacity)) + behind) << LAP_SHIFT;
  }
}

const BEGINS = [0, 2 ** 16, 2 ** 17, 2 ** 29, 2 ** 30, 2 ** 31, 2 ** 32];

describe.each(['spsc', 'mpsc', 'mpmc'] as const)('%s', (kind) => {
  test.each([1, 2, 8, 32])(
    '%i slots against a list, across every edge of the numbers',
    (capacity) => {
      const random = new Random(seed);
      for (const begin of BEGINS) {
        const pool = createPool();
        const first = WordChannel.create(pool, { kind, capacity });
        moveOn(first, pool.maxThreads, begin === 0 ? 0 : begin - 1 - random.below(3 * capacity));
        const threads = attachAll(first, pool);
        const senders = threads.slice(0, kind === 'spsc' ? 1 : 3).map((thread) => thread.sender());
        const receivers = threads
          .slice(0, kind === 'mpmc' ? 3 : 1)
          .map((thread) => thread.receiver());
        const list: number[] = [];
        let next = 0;
        for (let step = 0; step < 200; step++) {
          const sender = senders[random.below(senders.length)];
          const receiver = receivers[random.below(receivers.length)];
          const batch = Int32Array.from({ length: 1 + random.below(20) }, (_, i) => next + i);
          const way = random.below(5);
          if (way === 0) {
            const isSent = sender.trySend(next);
            expect(isSent, replay).toBe(list.length < capacity);
            if (isSent) list.push(next++);
          } else if (way === 1) {
            const fits = Math.min(batch.length, capacity - list.length);
            expect(sender.trySendBatch(batch), replay).toBe(fits);
            for (let i = 0; i < fits; i++) list.push(next++);
          } else if (way === 2) {
            expect(receiver.tryReceive(), replay).toBe(list.shift());
          } else if (way === 3) {
            const target = new Int32Array(1 + random.below(20));
            const count = receiver.tryReceiveBatch(target);
            expect(count, replay).toBe(Math.min(target.length, list.length));
            expect([...target.subarray(0, count)], replay).toEqual(list.splice(0, count));
          } else {
            receiver.drain((word) => expect(word, replay).toBe(list.shift()), 1 + random.below(20));
          }
          expect(first.stats().queued, replay).toBe(list.length);
        }
        first.close();
        expect(() => senders[0].trySend(0)).toThrow(/closed/);
        while (list.length > 0) expect(receivers[0].tryReceive(), replay).toBe(list.shift());
        for (const receiver of receivers) {
          expect(receiver.tryReceive(), replay).toBeUndefined();
          expect(receiver.ended, replay).toBe(true);
        }
      }
    },
  );
});

/** How far the others go meanwhile, in laps: around the edges of a lap's 16 bits and beyond. */
const ABSENCES = [1, 2 ** 15 - 1, 2 ** 15, 2 ** 16 - 1, 2 ** 16 + 1];

test.each([1, 2])('an end that slept while others filled %i slots again and again', (capacity) => {
  for (const laps of ABSENCES) {
    const pool = createPool();
    const channel = WordChannel.create(pool, { kind: 'mpmc', capacity });
    const [a, b] = attachAll(channel, pool);
    const [busy, sleeper] = [a.sender(), b.sender()];
    const [taker, idle] = [a.receiver(), b.receiver()];
    for (let i = 0; i < laps * capacity; i++) {
      busy.trySend(i);
      taker.tryReceive();
    }
    expect(sleeper.trySend(-1), `${laps} laps`).toBe(true);
    expect(idle.tryReceive(), `${laps} laps`).toBe(-1);
    for (let i = 0; i < capacity; i++) expect(sleeper.trySend(i), `${laps} laps`).toBe(true);
    expect(sleeper.trySend(9)).toBe(false);
    for (let i = 0; i < capacity; i++) expect(taker.tryReceive(), `${laps} laps`).toBe(i);
    channel.close();
    expect(idle.tryReceive()).toBeUndefined();
    expect(idle.ended, `${laps} laps`).toBe(true);
  }
});

// Here the words are moved on by hand.
test('an end that slept through billions of messages', () => {
  for (const ahead of [2 ** 31 - 5, 2 ** 31, 2 ** 31 + 5, 3 * 2 ** 30]) {
    const pool = createPool();
    const channel = WordChannel.create(pool, { kind: 'mpmc', capacity: 4 });
    const sender = channel.sender();
    const receiver = channel.receiver();
    sender.trySend(0);
    receiver.tryReceive();
    moveOn(channel, pool.maxThreads, ahead);
    expect(sender.trySend(1), String(ahead)).toBe(true);
    expect(receiver.tryReceive(), String(ahead)).toBe(1);
  }
});

test.each(['spsc', 'mpsc', 'mpmc'] as const)(
  '%s: a wait on the side does not take the ready callback away',
  async (kind) => {
    const pool = createPool();
    const channel = WordChannel.create(pool, { kind, capacity: 4 });
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    const ready = new Promise<void>((resolve) => receiver.setReadyCallback(resolve));
    expect(receiver.arm()).toBe(true);
    await expect(receiver.receive({ timeoutMs: 1 })).rejects.toThrow();
    expect(() => receiver.receiveSync(1)).toThrow(/receiveSync/);
    sender.trySend(7);
    await ready;
    expect(receiver.tryReceive()).toBe(7);
  },
);

test.each(['spsc', 'mpsc', 'mpmc'] as const)(
  '%s: whoever left the pool has left the channel, and its place has an heir',
  (kind) => {
    const pool = createPool();
    const other = BufferPool.attach(pool.handle);
    const channel = PacketChannel.create(pool, { kind, capacity: 4 });
    const gone = PacketChannel.attach(other, channel.handle);
    const [sender, receiver] = [channel.sender(), gone.receiver()];
    const id = pool.tryAcquire();
    expect(sender.trySendRegion(id, pool.offsetOf(id), 4)).toBe(true);
    other.detach();
    expect(() => gone.receiver()).toThrow(/detached/i);
    expect(() => gone.recover()).toThrow(/detached/i);
    const heir = channel.receiver();
    receiver.close();
    expect(channel.stats().receivers).toBe(kind === 'mpmc' ? 2 : 1);
    expect(heir.tryReceive()?.release()).toBeUndefined();
    heir.close();
    sender.close();
    expect(channel.recover()).toBe(kind === 'mpmc' ? 1 : 0);
    expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  },
);
