// SPDX-License-Identifier: MIT
/** Test tool: what tests of pools and writers expect of errors, and of a pool at rest. */
import { expect } from 'vitest';
import type { BusbarErrorCode } from '../src/base/errors.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../src/pool/index.ts';
import { auditPool } from './pool-audit.ts';

/** Matches a BusbarError with this code. */
export function coded(code: BusbarErrorCode): unknown {
  return expect.objectContaining({ name: 'BusbarError', code });
}

/** Acquires all that this thread can get. */
export function drain(pool: BufferPool): BufferId[] {
  const ids: BufferId[] = [];
  for (let id = pool.tryAcquire(); id !== NO_BUFFER; id = pool.tryAcquire()) ids.push(id);
  return ids;
}

/** Asserts that every buffer is free, no caller waits, and every word is right. */
export function expectAllHome(pool: BufferPool): void {
  const { capacity, freeShared, freeCached, held, inTransit, waiting } = pool.who();
  expect({ free: freeShared + freeCached, held, inTransit, waiting }).toEqual({
    free: capacity,
    held: 0,
    inTransit: 0,
    waiting: 0,
  });
  expect(auditPool(pool)).toEqual([]);
}
