// SPDX-License-Identifier: MIT
/** A stack that overflows inside the library, in a thread that catches it and goes on. */
import { describe, expect, it } from 'vitest';
import { type BufferId, BufferPool } from '../../src/pool/index.ts';
import { auditPool } from '../pool-audit.ts';

const ROUNDS = 40;
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
      pool.sendInto(id, pool.offsetOf(id), 0, words, 0);
      pool.receiveFrom(words, 0);
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
