// SPDX-License-Identifier: MIT
/** The place of a thread among the peers of a group. */

import { expect, test } from 'vitest';
import { BufferPool } from '../../pool/index.ts';
import { LaneGroup } from './lane-group.ts';

const SUBJECT_BYTES_MAX = 256;

/** A thread of a group of three; with an index it is an executor. */
function member(pool: BufferPool, own: object, count: number = 3): never {
  const peer = () => ({ capacity: 8, trySendRegion: () => true });
  return { pool, count, mailbox: { handleRegions() {} }, peer, ...own } as never;
}

test('an executor has its index, and a higher epoch at each start; the host comes last', () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 8, maxThreads: 1 });
  const placeOf = (own: object): unknown[] => {
    const group = new LaneGroup(member(pool, own), SUBJECT_BYTES_MAX);
    const known = group.carriers.map((each) => each !== undefined);
    return [group.index, group.epoch, known, group.isExpected(2), group.isExpected(3)];
  };
  const host = { capacity: 8 };
  expect(placeOf({ host, index: 1, restarts: 0 })).toEqual([
    1,
    1,
    [true, false, true, true],
    true,
    false,
  ]);
  expect(placeOf({ host, index: 0, restarts: 4 })).toEqual([
    0,
    5,
    [false, true, true, true],
    true,
    false,
  ]);
  expect(placeOf({})).toEqual([3, 1, [true, true, true, false], true, false]);
  pool.close();
});

test.each([0, -1, 1.5, 257, Number.NaN, undefined])(
  'a bus does not join a group of %j executors',
  (count) => {
    const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 8, maxThreads: 1 });
    const group = member(pool, { count });
    expect(() => new LaneGroup(group, SUBJECT_BYTES_MAX)).toThrow(/^member\.count must be/);
    pool.close();
  },
);
