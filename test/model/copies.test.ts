// SPDX-License-Identifier: MIT
/** Copies of modules with a planted bug: which are made, and which are shared. */
import { afterAll, expect, test } from 'vitest';
import type { BufferPool } from '../../src/pool/index.ts';
import type { Event, Mutex } from '../../src/sync/index.ts';
import { loadPlanted, removeCopy } from './copies.ts';
import { MORTAL, mortal } from './mortal.ts';

interface Sync {
  readonly Event: typeof Event;
  readonly Mutex: typeof Mutex;
}

const variant = `copies-${process.pid}`;
afterAll(() => removeCopy(variant));

test('a bug is in its module and in what imports that; all other modules are shared', async () => {
  const plant = (text: string): string =>
    text.replace("ORDERS = ['barging'", "ORDERS = ['planted'");
  const bug = { variant, entry: 'sync/mutex.ts', plant };
  const right = await mortal<Sync>('sync/index.ts');
  const broken = await loadPlanted<Sync>(MORTAL, bug, 'sync/index.ts');
  expect(broken.Mutex).not.toBe(right.Mutex);
  expect(broken.Event).toBe(right.Event);
  const pools = await loadPlanted<{ BufferPool: typeof BufferPool }>(MORTAL, bug, 'pool/index.ts');
  expect(pools).toBe(await mortal('pool/index.ts'));
  const pool = pools.BufferPool.create({ bufferSize: 64, bufferCount: 2, maxThreads: 1 });
  right.Mutex.create(pool, { order: 'barging' });
  expect(() => broken.Mutex.create(pool, { order: 'barging' })).toThrow(/planted/);
  pool.close();
});
