// SPDX-License-Identifier: MIT
/** Example broker: messages that are written anew hold a few buffers, and no more. */

import { Backpressure, FairShare, type Waiter } from 'busbar/bus';
import { expect, test } from 'vitest';
import { BufferPool, NO_BUFFER } from '../src/pool/index.ts';
import { CopyBuffers } from './copy-buffers.ts';

test('no more than said are taken, and who waits for one goes on when one comes back', () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 8, maxThreads: 1 });
  const turns: (() => void)[] = [];
  const share = new FairShare((run) => turns.push(run));
  const limits = { maxPendingBytes: 1024, stallMs: 1000 };
  const backpressure = new Backpressure(pool, share, [], limits, () => 0);
  const copies = new CopyBuffers(pool, backpressure, 2);
  const served: string[] = [];
  const waiter: Waiter = { proceed: () => void served.push('again') };
  const held = [copies.tryTake(waiter), copies.tryTake(waiter)];
  expect(held).not.toContain(NO_BUFFER);
  expect(copies.tryTake(waiter)).toBe(NO_BUFFER);
  backpressure.block(waiter);
  copies.release(held[0]);
  for (const run of turns.splice(0)) run();
  expect(served).toEqual(['again']);
  const again = copies.tryTake(waiter);
  expect(again).not.toBe(NO_BUFFER);
  expect(copies.tryTake(waiter)).toBe(NO_BUFFER);
  copies.release(again);
  copies.release(held[1]);
  expect(pool.stats().held).toBe(0);
  backpressure.close();
});
