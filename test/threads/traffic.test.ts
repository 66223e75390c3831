// SPDX-License-Identifier: MIT
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { scaled } from '../effort.ts';
import { auditPool } from '../pool-audit.ts';
import { testSeed, WorkerCrew } from './worker-crew.ts';

const shapes = [
  { threads: 2, bufferCount: 7, batchSize: 1, bufferSize: 64, perPair: 2 },
  { threads: 4, bufferCount: 7, batchSize: 2, bufferSize: 256, perPair: 1 },
  { threads: 3, bufferCount: 32, batchSize: 4, bufferSize: 100, perPair: 3 },
  { threads: 8, bufferCount: 64, batchSize: 8, bufferSize: 64, perPair: 1 },
  { threads: 5, bufferCount: 1, batchSize: 1, bufferSize: 64, perPair: 1 },
];

test.each(shapes)(
  '$threads threads share $bufferCount buffers at random, and every one comes back',
  async ({ threads, bufferCount, batchSize, bufferSize, perPair }) => {
    const seed = testSeed();
    const pool = BufferPool.create({
      bufferSize,
      bufferCount,
      batchSize,
      maxThreads: threads + 1,
      trackLeaks: false,
    });
    const deeds = scaled(Math.round(45_000 / threads));
    const crew = new WorkerCrew(pool, { lanes: threads, perPair, deeds, post: true, seed });
    const ends = await Promise.all(Array.from({ length: threads }, (_, lane) => crew.start(lane)));
    const replay = `replay with BUSBAR_TEST_SEED=${seed}`;
    const errors = ends.flatMap(({ error }) => (error === undefined ? [] : [error.stack]));
    expect(errors, replay).toEqual([]);
    expect(ends.map(({ code }) => code)).toEqual(Array(threads).fill(0));
    const { freeShared, freeCached, capacity, held, inTransit, threads: left } = pool.who();
    expect({ free: freeShared + freeCached, held, inTransit }, replay).toEqual({
      free: capacity,
      held: 0,
      inTransit: 0,
    });
    expect(left.map(({ slot }) => slot)).toEqual([pool.threadSlot]);
    expect(auditPool(pool), replay).toEqual([]);
    pool.close();
  },
);
