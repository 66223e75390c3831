// SPDX-License-Identifier: MIT
/** What a link keeps while its program has paused it. */

import type { Duplex } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { Framer, LengthPrefixCodec } from '../../framer/index.ts';
import type { Packet } from '../../packet/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { Intake } from './intake.ts';
import { NO_SOCKET } from './intake-owner.ts';

afterEach(() => {
  vi.useRealTimers();
});

test('a paused link keeps the buffer of the frame taken last, however long it is paused', () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'clearTimeout'] });
  const ticks = (): unknown => vi.advanceTimersByTime(1000);
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 4 });
  const framer = new Framer(pool, new LengthPrefixCodec('u16'));
  const intake = new Intake(pool, framer, 1024);
  const kept: Packet[] = [];
  let pausesNext = false;
  const deliver = (): void => {
    while (!intake.stopped && framer.next()) {
      if (pausesNext) intake.pause();
      else kept.push(framer.takePacket());
    }
  };
  const fail = (error: unknown): void => {
    throw error;
  };
  const owner = { deliver, ended() {}, intakeFailed: fail, deliveryFailed: fail };
  intake.open(owner, NO_SOCKET as Duplex, false);
  const read = (): void => {
    const space = intake.target.buffer() as Uint8Array;
    space.set([0, 2, 7, 8]);
    intake.target.callback(4, space);
  };
  // Packets lie in the buffer: the link keeps it for a while, so that the next ones share it.
  read();
  pausesNext = true;
  read();
  for (const packet of kept) packet.release();
  const frame = framer.frameBufferId;
  expect(vi.getTimerCount()).toBe(1);
  ticks();
  expect(framer.frameBufferId).toBe(frame);
  expect([pool.stats().held, pool.isSoleHolder(frame)]).toEqual([1, true]);
  expect([...pool.bytes.subarray(framer.frameOffset, framer.frameOffset + 2)]).toEqual([7, 8]);
  // When it goes on and nothing comes, the buffer goes back.
  intake.resume();
  ticks();
  expect(pool.stats().held).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  intake.close();
});
