// SPDX-License-Identifier: MIT
/**
 * An end that stands still between its look at the followers of a group and its claim of the group,
 * while the others go round the ring so often that the first TURN is the same again.
 */

import { afterEach, expect, test } from 'vitest';
import { atAccess, clearAccess } from '../../test/accesses.ts';
import { BufferPool } from '../pool/index.ts';
import { ChannelLayout, FULL, GROUP, READING, WRITING } from './channel-layout.ts';
import { WordChannel } from './index.ts';

const VALUES = Int32Array.from({ length: GROUP }, (_, i) => 10 + i);

afterEach(clearAccess);

function setUp() {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 2, maxThreads: 4 });
  const channel = WordChannel.create(pool, { kind: 'mpmc', capacity: GROUP });
  const words = new Int32Array(channel.handle.control);
  const layout = new ChannelLayout('mpmc', 'words', GROUP, pool.maxThreads);
  const follower = layout.slots + layout.slotWords;
  return { channel, words, follower };
}

/** Runs `meanwhile` just before the next compare-exchange. */
function beforeClaim(meanwhile: () => void): void {
  atAccess(1, meanwhile, 'compareExchange');
}

test('a sender does not write into a slot that another thread reads', () => {
  const { channel, words, follower } = setUp();
  const sender = channel.sender();
  const inUse = READING | 1;
  beforeClaim(() => {
    words[follower] = inUse - (1 << 16); // of the lap before
    words[follower + 1] = 99;
  });
  expect(sender.trySendBatch(VALUES)).toBe(1);
  expect([words[follower], words[follower + 1]]).toEqual([inUse - (1 << 16), 99]);
});

test('a receiver does not read a slot that another thread writes', () => {
  const { channel, words, follower } = setUp();
  const sender = channel.sender();
  const receiver = channel.receiver();
  expect(sender.trySendBatch(VALUES)).toBe(GROUP);
  beforeClaim(() => {
    words[follower] = WRITING | 1;
  });
  const into = new Int32Array(GROUP);
  expect(receiver.tryReceiveBatch(into)).toBe(1);
  expect(words[follower]).toBe(WRITING | 1);
  words[follower] = FULL;
  expect(receiver.tryReceiveBatch(into)).toBe(GROUP - 1);
  expect([...into.subarray(0, GROUP - 1)]).toEqual([...VALUES.subarray(1)]);
});
