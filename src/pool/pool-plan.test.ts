// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool } from './index.ts';

const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 512, maxThreads: 1 });

test('a plan says how many buffers a program needs, and why', () => {
  const plan = pool.plan({ links: 1000, laggards: 100, messageBytes: 115 });
  expect(plan).toMatchObject({ bufferCount: 2008, fits: false });
  expect(plan.parts.map(({ bufferCount }) => bufferCount)).toEqual([1000, 4, 1004]);
  expect(plan.text.split('\n')).toEqual([
    '    1000  a message for each of 1000 links, written in one turn',
    '       4  reading, and to spare',
    '    1004  100 peers that do not read: half of the pool, 2 each at least',
    '    2008  of 16384 bytes; the pool has 512: too few',
  ]);
});

test('packets for all need few; frames beyond 256 bytes may be begun by each peer', () => {
  const packets = pool.plan({ links: 1000, laggards: 100, messageBytes: 115, packets: true });
  expect(packets).toMatchObject({ bufferCount: 206, fits: true });
  expect(pool.plan({ links: 10, messageBytes: 4000 }).bufferCount).toBe(14);
  expect(pool.plan({ links: 10, messageBytes: 9, requestBytes: 4000 }).bufferCount).toBe(24);
  expect(pool.plan({ links: 0, messageBytes: 1 }).bufferCount).toBe(4);
});

test('what it is told is checked', () => {
  expect(() => pool.plan({ links: -1, messageBytes: 1 })).toThrow(/links/);
  expect(() => pool.plan({ links: 1, laggards: 2, messageBytes: 1 })).toThrow(/laggards/);
  expect(() => pool.plan({ links: 1, messageBytes: 16385 })).toThrow(/messageBytes/);
  expect(() => pool.plan({ links: 1, messageBytes: 1, lagards: 1 } as never)).toThrow(/lagards/);
});
