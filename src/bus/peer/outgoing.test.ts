// SPDX-License-Identifier: MIT
/** The stream to one peer, alone: what comes before a message, and what travels with it. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { drain, expectAllHome } from '../../../test/pool-expectations.ts';
import { BufferPool } from '../../pool/index.ts';
import { FrameMemory } from '../frame-memory.ts';
import { Ledger } from './ledger.ts';
import { Outgoing } from './outgoing.ts';
import { OwnInterest } from './own-interest.ts';
import { type PeerCarrier, SENT } from './peer-carrier.ts';
import { SYNC, TELL } from './peer-layout.ts';

const BUFFER_SIZE = 256;

let pool: BufferPool;
let memory: FrameMemory;
/** Regions that the carrier has taken: where each begins, and its length. */
let lane: (readonly [offset: number, length: number])[];
let out: Outgoing;
let lacked: number;
const own = new OwnInterest();

beforeEach(() => {
  pool = BufferPool.create({ bufferSize: BUFFER_SIZE, bufferCount: 8, maxThreads: 1 });
  memory = new FrameMemory(pool);
  lane = [];
  lacked = 0;
  const core = {
    name: 'bus',
    epoch: 1,
    memory,
    own,
    windowRegions: 16,
    windowBytes: 4096,
    windowInterests: 64,
    promptBytes: Infinity,
    dirty: () => {},
    lacksBuffer: () => void lacked++,
    ended: () => {},
  };
  const carrier: PeerCarrier = {
    capacity: 64,
    trySend: (bufferId, offset, length) => {
      lane.push([offset, length]);
      pool.release(bufferId);
      return SENT;
    },
  };
  out = new Outgoing(core, 1, carrier, new Ledger());
});

afterEach(() => {
  out.close();
  memory.close();
  expectAllHome(pool);
});

/** The kinds of the frames that the first region begins and ends with. */
function firstFrames(): number[] {
  const [offset, length] = lane[0];
  const { words } = memory;
  return [words[offset >>> 2], words[(offset + length - 4) >>> 2]];
}

test('no message goes before the beginning of the stream, for which there is no buffer', () => {
  const held = drain(pool);
  out.open(1);
  // Nobody here wants anything: TELL and SYNC alone are due.
  expect(out.unheardInterests).toBe(0);
  expect(out.hasRoom).toBe(false);
  expect(lacked).toBeGreaterThan(0);
  for (const id of held) pool.release(id);
  expect(out.hasRoom).toBe(true);
  out.flush();
  expect(firstFrames()).toEqual([TELL, SYNC]);
});

test('own messages that follow each other in a buffer are one region, while it waits', () => {
  const bufferId = pool.tryAcquire();
  const begin = pool.offsetOf(bufferId);
  const next = begin + BUFFER_SIZE;
  out.open(1);
  out.flush();
  lane.length = 0;
  expect(out.tryExtendOwn(begin, begin + 8, 1), 'nothing waits').toBe(false);
  out.postOwn(begin, begin + 8, bufferId, 1);
  expect(out.tryExtendOwn(begin + 8, begin + 20, 1)).toBe(true);
  expect(out.tryExtendOwn(begin + 24, begin + 28, 1), 'there is a gap').toBe(false);
  expect(out.tryExtendOwn(begin + 20, next, 1)).toBe(true);
  expect(out.tryExtendOwn(next, next + 8, 1), 'in the next buffer').toBe(false);
  out.flush();
  expect(lane).toEqual([[begin, BUFFER_SIZE]]);
  expect(out.tryExtendOwn(next, next + 8, 1), 'it was sent').toBe(false);
  out.postOwn(begin, begin + 8, bufferId, 0);
  expect(out.trySetRecipients(0, 'crew')).toBe(true);
  expect(out.tryExtendOwn(begin + 8, begin + 16, 0), 'others are meant').toBe(false);
  out.close();
  pool.release(bufferId);
});

test('what is due before a message goes before it, also within a region', () => {
  const bufferId = pool.tryAcquire();
  const begin = pool.offsetOf(bufferId);
  out.open(1);
  out.flush();
  lane.length = 0;
  out.postOwn(begin, begin + 8, bufferId, 0);
  out.fence();
  expect(out.tryExtendOwn(begin + 8, begin + 16, 0), 'a fence waits').toBe(false);
  out.flush();
  out.postOwn(begin + 8, begin + 16, bufferId, 0);
  const interest = own.add({ subject: Buffer.from('a'), queue: '' });
  if (interest !== undefined) out.announce(interest);
  expect(out.tryExtendOwn(begin + 16, begin + 24, 0), 'an interest waits').toBe(false);
  expect(out.hasRoom).toBe(true);
  out.postOwn(begin + 16, begin + 24, bufferId, 0);
  out.flush();
  const isOwn = lane.map(([offset]) => offset >= begin && offset < begin + BUFFER_SIZE);
  expect(isOwn).toEqual([true, false, true, false, true]);
  pool.release(bufferId);
});
