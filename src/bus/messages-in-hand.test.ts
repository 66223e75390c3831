// SPDX-License-Identifier: MIT
/** What a crashed executor had in hand, read from memory that has been used again. */

import { expect, test } from 'vitest';
import type { TakenRegion } from '../executor/in-hand.ts';
import { BufferPool } from '../pool/index.ts';
import { Bus } from './bus.ts';
import { reportCrashes } from './messages-in-hand.ts';
import type { LaneGroup } from './peer/lane-group.ts';
import { REFERENCE } from './peer/peer-layout.ts';

type Crash = (index: number, taken: readonly TakenRegion[]) => void;

test('a frame whose headers are no JSON any more is a message without a subject', () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 4, maxThreads: 1 });
  const bus = new Bus(pool);
  const [payload, frame] = [pool.tryAcquire(), pool.tryAcquire()];
  const [begin, offset] = [pool.offsetOf(payload), pool.offsetOf(frame)];
  const words = [REFERENCE, 40, 3, 1, 4, 1, 0, begin, 0x61, 0x7b7b7b7b];
  new Int32Array(pool.bytes.buffer, offset, words.length).set(words);
  let crash: Crash = () => {};
  const group = {
    onCrash: (listener: Crash) => {
      crash = listener;
    },
  };
  const seen: unknown[] = [];
  reportCrashes(
    group as LaneGroup,
    bus,
    (index, messages) => {
      for (const { subject, source } of messages) seen.push({ index, subject, source });
      // Borrowed: this is not its reference.
      for (const message of messages) message.release();
    },
    (index) => `bus-${index}`,
  );
  const next = { offset, length: 40 };
  crash(1, [{ from: 0, bufferId: payload, offset: begin, length: 0, next } as TakenRegion]);
  expect(seen).toEqual([{ index: 1, subject: '', source: 'bus-0' }]);
  pool.release(payload);
  pool.release(frame);
  bus.close();
  expect(pool.close().heldByThreads).toBe(0);
});
