// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { BufferPool } from '../../src/pool/index.ts';
import { WriteFlusher } from '../../src/writer/index.ts';
import { Crew, type CrewOptions, type Producer } from './writer-crew.ts';
import type { ReceiverNews } from './writer-receiver.worker.ts';

const RECEIVER = new URL('../../build/test/threads/writer-receiver.worker.js', import.meta.url);
const KILLS = 8;

/** Settles when `count` more messages have been received. */
function received(crew: Crew, count: number): Promise<void> {
  const target = crew.checker.total + count;
  return new Promise((resolve) => {
    crew.onReceived = () => {
      if (crew.checker.total >= target) resolve();
    };
  });
}

/** Ends threads, all at once, then cleans up after them in any order. */
async function bury(crew: Crew, victims: readonly Producer[]): Promise<void> {
  await Promise.all(victims.map(({ worker }) => worker.terminate()));
  crew.receive();
  const slots = victims.map(({ slot }) => slot);
  if (crew.random.chance(0.5)) slots.reverse();
  for (const slot of slots) crew.writer?.recover(slot);
  for (const slot of slots.reverse()) {
    crew.flusher.recover(slot);
    crew.pool.reclaim(slot);
  }
}

async function killSome(options: CrewOptions, atOnce: number = 1): Promise<void> {
  const crew = new Crew(options);
  const survivors = [crew.start(5_000, 3), crew.start(5_000, 3)];
  for (let i = 0; i < KILLS; i += atOnce) {
    const victims = Array.from({ length: atOnce }, () => crew.start(Infinity, 4));
    await crew.all(victims.map(({ attached }) => attached));
    await crew.all([received(crew, 1 + crew.random.below(300))]);
    await bury(crew, victims);
    crew.check();
  }
  await crew.all(survivors.map((producer) => producer.done));
  await crew.end();
  for (const { thread, committed } of survivors) {
    expect(crew.checker.counts.get(thread), `seed ${crew.seed}`).toBe(committed);
  }
}

test('a thread that dies within a shared writer stops nobody, and loses no buffer', async () => {
  await killSome({ bufferSize: 96, bufferCount: 64, isShared: true });
});

test('the same when the writer flushes by itself', async () => {
  const policy = 'turn';
  await killSome({ bufferSize: 64, bufferCount: 64, isShared: true, policy, keepsMax: 3 });
});

test('threads that die together stop nobody', async () => {
  await killSome({ bufferSize: 96, bufferCount: 64, isShared: true, policy: { messages: 3 } }, 3);
});

test('a thread that dies with a writer of its own frees its place and its buffers', async () => {
  await killSome({ bufferSize: 96, bufferCount: 40, isShared: false, regionCount: 4 });
});

test('another thread takes over from a receiver that died', async () => {
  const pool = BufferPool.create({ bufferSize: 96, bufferCount: 48, batchSize: 2, maxThreads: 12 });
  for (let i = 0; i < 3; i++) {
    const receiver = new Worker(RECEIVER, { workerData: { pool: pool.handle } });
    const [first] = (await once(receiver, 'message')) as [ReceiverNews];
    if (!('slot' in first)) throw new Error('no slot');
    const flusher = WriteFlusher.attach(pool, first.flusher);
    expect(() => flusher.becomeReceiver()).toThrow('already has a receiver');
    const crew = new Crew({ bufferSize: 96, bufferCount: 48, isShared: false, pool, flusher });
    for (let k = 0; k < 2; k++) crew.start(3_000, 2);
    await new Promise<void>((resolve) => {
      receiver.on('message', (news: ReceiverNews) => {
        if ('total' in news && news.total > 300) resolve();
      });
    });
    await receiver.terminate();
    flusher.becomeReceiver();
    pool.reclaim(first.slot);
    flusher.setReadyCallback(() => crew.receive());
    await crew.all(crew.producers.map((producer) => producer.done));
    await crew.end();
    // What the dead one had received went with it; everything else came here.
    for (const { thread } of crew.producers) {
      expect(crew.checker.last.get(thread), `seed ${crew.seed}`).toBeGreaterThan(2_900);
    }
  }
});
