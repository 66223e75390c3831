// SPDX-License-Identifier: MIT
/** Calls of a group at the end of a deep recursion, which the program catches: it goes on. */
import { expect, test } from 'vitest';
import { ENTRY_COUNT, OWNER } from '../../src/pool/carrier-layout.ts';
import { BufferPool } from '../../src/pool/index.ts';
import { PoolLayout } from '../../src/pool/pool-layout.ts';
import { company, createPool, ExecutorGroup, expectAllBack, tell } from './company.ts';

/** Calls `operation` at `tries` depths, from no stack left on, `step` frames apart. */
function squeeze(tries: number, step: number, operation: () => void): void {
  let level = 0;
  const dive = (): void => {
    try {
      dive();
    } catch {}
    if (level++ % step !== 0 || level > tries * step) return;
    try {
      operation();
    } catch (error) {
      if (!(error instanceof RangeError && /call stack/.test(error.message))) throw error;
    }
  };
  dive();
}

/** How many carriers are in use. */
function carriersOf(pool: BufferPool, layout: PoolLayout): number {
  const words = new Int32Array(pool.handle.control);
  let count = 0;
  for (let entry = 0; entry < ENTRY_COUNT; entry++) {
    if (words[layout.carrierEntry(entry) + OWNER] !== 0) count++;
  }
  return count;
}

test('start starts a group, or leaves nothing', async () => {
  const pool = BufferPool.create({
    bufferSize: 256,
    bufferCount: 64,
    batchSize: 4,
    maxThreads: 100,
  });
  const layout = new PoolLayout(64, 100, 4);
  const { options } = company(pool);
  const starts: Promise<ExecutorGroup>[] = [];
  squeeze(30, 30, () => {
    starts.push(ExecutorGroup.start({ ...options, count: 1 }));
  });
  const ends = await Promise.allSettled(starts);
  const groups = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
  for (const group of groups) await group.stop();
  expect(carriersOf(pool, layout)).toBe(0);
  expectAllBack(pool);
});

test('stop ends a group, or has not begun', async () => {
  const pool = createPool();
  const group = await ExecutorGroup.start(company(pool).options);
  for (let i = 0; i < 20; i++) tell(group, pool, i % 2, 'hold');
  let stopped: ReturnType<ExecutorGroup['stop']> | undefined;
  squeeze(400, 5, () => {
    stopped ??= group.stop();
  });
  expect(await stopped).toMatchObject({ handled: 20, dropped: 0 });
  await group.closed;
  expectAllBack(pool);
});
