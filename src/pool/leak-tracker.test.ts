// SPDX-License-Identifier: MIT
import { expect, test, vi } from 'vitest';
import { Packet } from '../packet/index.ts';
import { BufferPool, type LeakReport } from './index.ts';

function create(trackLeaks = true): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 8, maxThreads: 2, trackLeaks });
}

function makePacket(pool: BufferPool): Packet {
  return Packet.tryFrom(pool, new Uint8Array(3)) as Packet;
}

function releaseHere(packet: Packet): void {
  packet.release();
}

test('without tracking nothing is remembered', () => {
  const pool = create(false);
  const packet = makePacket(pool);
  expect(pool.leaks).toBe(undefined);
  packet.release();
  expect(() => packet.release()).toThrow(
    /after it was released or sent: BUSBAR_TRACK_LEAKS=1 shows where$/,
  );
  makePacket(pool);
  expect(pool.close()).toEqual({ heldByThreads: 1, inTransit: 0, leaks: 'off' });
});

test('close reports every packet that is still held, with the line that made it', () => {
  const pool = create();
  const first = makePacket(pool);
  const clone = first.clone();
  const pieces = makePacket(pool).shatter([1, 2]);
  releaseHere(first);
  const { leaks: found, heldByThreads } = pool.close();
  const leaks = found as readonly LeakReport[];
  expect(heldByThreads).toBe(2);
  expect(leaks.map(({ bufferId, dropped }) => ({ bufferId, dropped }))).toEqual([
    { bufferId: clone.bufferId, dropped: false },
    ...[1, 2, 3].map(() => ({ bufferId: pieces[0]?.bufferId, dropped: false })),
  ]);
  for (const { created } of leaks) expect(created).toContain('leak-tracker.test.ts');
  expect(leaks[0]?.created.split('\n').length).toBeGreaterThan(1);
  for (const packet of [clone, ...pieces]) packet.release();
});

test('a packet that is used after its end says where it ended', () => {
  const pool = create();
  const packet = makePacket(pool);
  releaseHere(packet);
  expect(() => packet.length).toThrow(/: that was\n.*releaseHere.*leak-tracker\.test/s);
  const sent = makePacket(pool);
  const parts = sent.moveOut();
  expect(() => sent.clone()).toThrow(/released or sent: that was\n.*leak-tracker\.test/s);
  Packet.moveIn(pool, parts).release();
  expect(pool.close().leaks).toEqual([]);
});

test('detach names the first packet that is in its way', () => {
  const pool = create();
  const other = BufferPool.attach(pool.handle);
  const packet = makePacket(other);
  expect(() => other.detach()).toThrow(/1 buffers.*the first was created\n.*makePacket/s);
  packet.release();
  other.detach();
  expect(pool.leaks?.report()).toEqual([]);
});

test('the option travels with the handle', () => {
  const pool = create();
  const other = BufferPool.attach(structuredClone(pool.handle));
  const words = new Int32Array(4);
  makePacket(pool).moveInto(words, 0);
  const packet = Packet.wrap(
    other,
    other.moveFrom(words, 0),
    words[1] as number,
    words[2] as number,
  );
  expect(pool.leaks?.report()).toEqual([]);
  expect(other.leaks?.report()).toHaveLength(1);
  packet.release();
  expect(other.leaks?.report()).toEqual([]);
});

test('a packet that was dropped unreleased is noticed by the collector', async () => {
  const pool = create();
  const kept = makePacket(pool);
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  try {
    (function dropIt(): void {
      makePacket(pool).advance(1);
    })();
    const { gc } = globalThis as { gc?: () => void };
    while (!pool.leaks?.report().some(({ dropped }) => dropped)) {
      gc?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const texts = warn.mock.calls.map(([text]) => String(text));
    expect(texts.filter((text) => text.includes('dropIt'))).toHaveLength(1);
    expect(warn).toHaveBeenCalledWith(
      expect.stringContaining('a packet was dropped without rele'),
      {
        type: 'BusbarLeak',
        code: 'BUSBAR_LEAK',
      },
    );
  } finally {
    warn.mockRestore();
  }
  expect((pool.close().leaks as readonly LeakReport[]).map((leak) => leak.dropped)).toEqual([
    false,
    true,
  ]);
  kept.release();
});
