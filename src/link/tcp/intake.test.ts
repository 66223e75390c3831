// SPDX-License-Identifier: MIT
/** What a link keeps while its program has paused it. */

import type { Duplex } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { turn } from '../../../test/turns.ts';
import { BufferAllowance } from '../../framer/buffer-allowance.ts';
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

/** Intakes that share a pool and permits, and what each has delivered. */
function sharing(
  pool: BufferPool,
  permits: number,
  count: number,
  keeps: boolean,
  allowance: BufferAllowance = new BufferAllowance(permits),
) {
  return Array.from({ length: count }, () => {
    const framer = new Framer(pool, new LengthPrefixCodec('u16'));
    const intake = new Intake(pool, framer, 1024, Infinity, allowance);
    const packets: Packet[] = [];
    let frames = 0;
    let ends = 0;
    const fail = (error: unknown): void => {
      throw error;
    };
    const deliver = (): void => {
      while (!intake.stopped && framer.next()) {
        frames++;
        if (keeps) packets.push(framer.takePacket());
      }
    };
    const ended = (): void => {
      ends++;
      framer.finishFrame();
    };
    const owner = { deliver, ended, intakeFailed: fail, deliveryFailed: fail };
    intake.open(owner, NO_SOCKET as Duplex, false);
    return {
      intake,
      packets,
      get frames() {
        return frames;
      },
      get ends() {
        return ends;
      },
      /** Reads one frame of this many bytes, its prefix included, or the beginning of it. */
      read(bytes: number, begun: number = bytes): void {
        const space = intake.target.buffer() as Uint8Array;
        new DataView(space.buffer, space.byteOffset).setUint16(0, bytes - 2);
        intake.target.callback(begun, space);
      },
      close(): void {
        for (const packet of packets) packet.release();
        intake.close();
      },
    };
  });
}

test('peers that fill a read and are silent then leave permits to others', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 16, maxThreads: 1 });
  for (const permits of [1, 2, 4, 8]) {
    const links = sharing(pool, permits, 12, false);
    for (const link of links) link.read(1025);
    await turn();
    expect(links.map((link) => link.frames)).toEqual(Array(12).fill(1));
    expect(pool.stats().held).toBeLessThanOrEqual(permits / 2);
    // Some read straight into their buffers.
    expect(pool.stats().held > 0).toBe(permits > 3);
    for (const link of links) link.close();
    expect(pool.stats().held).toBe(0);
  }
});

test('a busy link whose packets are kept leaves its permit to those that wait', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 4, maxThreads: 1 });
  const [busy, other] = sharing(pool, 1, 2, true);
  busy.read(8);
  other.read(8);
  await turn();
  expect([busy.frames, other.frames]).toEqual([1, 0]);
  busy.read(8);
  await turn();
  expect([busy.frames, other.frames]).toEqual([2, 1]);
  for (const link of [busy, other]) link.close();
  expect(pool.stats().held).toBe(0);
});

test('a link that is paused while it waits for a buffer keeps none', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 4, maxThreads: 1 });
  const [busy, paused, other] = sharing(pool, 1, 3, true);
  busy.read(8);
  paused.read(8);
  other.read(8);
  paused.intake.pause();
  busy.close();
  await turn();
  expect([paused.frames, other.frames]).toEqual([0, 1]);
  other.close();
  paused.intake.resume();
  await turn();
  expect(paused.frames).toBe(1);
  paused.close();
  expect(pool.stats().held).toBe(0);
});

test('two that wait for a buffer to end with do not pass it on for ever', async () => {
  let waits = 0;
  class Counted extends BufferAllowance {
    override acquire(pool: BufferPool, signal: AbortSignal): ReturnType<typeof pool.acquire> {
      if (++waits > 10) throw new Error('they pass it on');
      return super.acquire(pool, signal);
    }
  }
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 4, maxThreads: 1 });
  const links = sharing(pool, 1, 3, false, new Counted(1));
  const [one, other, slow] = links;
  one.read(100, 50);
  other.read(100, 50);
  slow.read(1000, 500);
  one.intake.end();
  other.intake.end();
  slow.close();
  await turn();
  // A half-open link writes on after that, and keeps no buffer for what it reads.
  expect([one.ends, other.ends, waits, pool.stats().held]).toEqual([1, 1, 2, 0]);
  one.close();
  other.close();
});
