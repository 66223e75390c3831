// SPDX-License-Identifier: MIT
import { Worker } from 'node:worker_threads';
import { PacketChannel } from 'busbar/channel';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { auditPool } from '../pool-audit.ts';
import { testSeed } from './worker-crew.ts';

const seed = testSeed();
const replay = `replay with BUSBAR_TEST_SEED=${seed}`;
const STAGE = new URL('../../build/test/threads/pipeline.worker.js', import.meta.url);
const DEATHS = 4;

/**
 * Source and sink never learn that the stage between them dies: each packet arrives, in order, but
 * for those that it had in hand, one at each death.
 */
test.each([
  ['spsc', 'loop'],
  ['spsc', 'blocking'],
  ['mpsc', 'loop'],
  ['mpmc', 'blocking'],
] as const)('%s: a stage that dies again and again, and reads in a %s', async (kind, way) => {
  const random = new Random(seed);
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 24, batchSize: 2, maxThreads: 3 });
  const options = { kind, capacity: 4, survives: true } as const;
  const first = PacketChannel.create(pool, options);
  const second = PacketChannel.create(pool, options);
  const source = first.sender();
  const sink = second.receiver();

  let deaths = 0;
  let stage: Worker;
  const gone: Promise<void>[] = [];
  const start = (): void => {
    const workerData = { pool: pool.handle, from: first.handle, to: second.handle, way };
    stage = new Worker(STAGE, { workerData });
    const ended = new Promise<void>((resolve, reject) => {
      stage.once('error', reject);
      stage.once('exit', (code) => {
        pool.reclaimDead();
        if (code !== 0) start();
        resolve();
      });
    });
    gone.push(ended);
  };
  start();

  let isDone = false;
  const sending = (async () => {
    let number = 0;
    while (!isDone) await source.send(await Packet.from(pool, String(number++)));
    source.close();
    // A stage that survived has an end, too: here it comes.
    first.close();
    return number;
  })();

  const received: number[] = [];
  let next = random.below(50);
  for await (const packet of sink) {
    received.push(Number(packet.toString()));
    packet.release();
    if (received.length < next) continue;
    if (deaths < DEATHS) {
      deaths++;
      next += 1 + random.below(200);
      void stage!.terminate();
    } else if (!isDone) {
      isDone = true;
      void sending.then(async () => {
        for (let i = 0; i < gone.length; i++) await gone[i];
        second.close();
      });
    }
  }
  const sent = await sending;
  expect(received, replay).toEqual([...received].sort((a, b) => a - b));
  expect(new Set(received).size, replay).toBe(received.length);
  expect(sent - received.length, replay).toBeLessThanOrEqual(DEATHS);
  sink.close();
  expect(first.stats().queued + second.stats().queued, replay).toBe(0);
  expect(auditPool(pool), replay).toEqual([]);
  expect(pool.close(), replay).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});
