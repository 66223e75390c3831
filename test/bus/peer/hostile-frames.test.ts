// SPDX-License-Identifier: MIT
/** Frames that no bus sends, or that come too late: what a bus makes of them. */

import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import * as layout from '../../../src/bus/peer/peer-layout.ts';
import { expectAllHome } from '../../pool-expectations.ts';
import { PeerNetwork } from './network.ts';

const BIG = 2 ** 31 - 1;
const CCCC = 0x63636363;

function setUp(capacity?: number) {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64 });
  const network = new PeerNetwork(pool, 2, capacity);
  const bus = network.start(0);
  const got: string[] = [];
  const note = (): void => {
    network.bus(1).subscribe('a', (message) => void got.push(message.text()));
  };
  network.start(1);
  note();
  network.settle();
  /** The first `count` of these words come to bus 0 as a region of bus 1. */
  const inject = (words: readonly number[], count: number = words.length): void => {
    const bufferId = pool.tryAcquire();
    const offset = pool.offsetOf(bufferId);
    new Int32Array(pool.bytes.buffer, offset, words.length).set(words);
    network.member(0).receiver(bufferId, offset, count * layout.WORD_BYTES, 1);
  };
  /** What bus 0 publishes comes to bus 1. */
  const expectHeard = (): void => {
    network.settle();
    got.length = 0;
    expect(bus.tryPublish('a', 'heard')).toBe(true);
    network.settle();
    expect(got).toEqual(['heard']);
  };
  const finish = (): void => {
    network.end();
    expectAllHome(pool);
  };
  return { pool, network, bus, got, note, inject, expectHeard, finish };
}

test.each([
  ['ASK', [layout.ASK, 9]],
  ['TELL', [layout.TELL, 1, 9, 8, 1024, 0]],
  ['GONE', [layout.GONE, 1, 9]],
  ['BYE', [layout.BYE, 1]],
  ['DONE', [layout.DONE, 1, 1, BIG, BIG, 0, 0]],
])('%s without its words is a stray, whatever lies behind it', (_name, words) => {
  const { bus, inject, expectHeard, finish } = setUp();
  for (let count = 1; count < words.length; count++) inject(words, count);
  expect(bus.stats().strays).toBe(words.length - 1);
  expectHeard();
  finish();
});

test.each([
  ['payload', BIG, 0],
  ['headers', 0, BIG],
])('a message whose %s would end before its beginning is a stray', (_name, payload, headers) => {
  const { bus, inject, finish } = setUp();
  const seen: unknown[] = [];
  bus.subscribe('b', (message) => void seen.push(message.length));
  // Both wrap when they are padded: the frame's length is what they make of it.
  const length = 32 + 4 + layout.padded(payload) + layout.padded(headers);
  inject([layout.MESSAGE, length, payload, 1, headers, 1, 0, 36, 0x62, 0, 0, 0]);
  expect({ seen, strays: bus.stats().strays }).toEqual({ seen: [], strays: 1 });
  finish();
});

test.each([
  ['before', -4, 4],
  ['behind', 1024, 4],
  ['partly behind', 1020, 8],
  ['at all that follows', 0, 1028],
])('a payload %s its buffer is not delivered', (_name, at, length) => {
  const { pool, bus, network, inject, expectHeard, finish } = setUp();
  const seen: number[] = [];
  bus.subscribe('b', (message) => void seen.push(message.length));
  const refer = (payloadAt: number, payloadBytes: number): void => {
    const bufferId = pool.tryAcquire();
    const offset = pool.offsetOf(bufferId);
    network.member(0).receiver(bufferId, offset, 0, 1);
    const place = offset + payloadAt;
    inject([layout.REFERENCE, 36, payloadBytes, 1, 0, 1, 0, place, 0x62]);
  };
  refer(at, length);
  expect(seen).toEqual([]);
  refer(1020, 4);
  expect(seen).toEqual([4]);
  expectHeard();
  finish();
});

test('a peer that is done with more than it was sent has no larger window', () => {
  const { pool, network, bus, inject, finish } = setUp();
  network.room.set('0>1', 0);
  inject([layout.DONE, 1, 1, 1 << 20, 1 << 20, 0, 1 << 20]);
  let sent = 0;
  for (let packet = Packet.tryFrom(pool, 'x'); packet !== undefined; ) {
    if (!bus.tryPublish('a', packet)) {
      packet.release();
      break;
    }
    sent++;
    packet = Packet.tryFrom(pool, 'x');
  }
  // A quarter of the pool is 16 regions, and a packet is two.
  expect(sent).toBeLessThanOrEqual(8);
  finish();
});

test.each([
  ['question', [layout.ASK, 1]],
  ['greeting', [layout.TELL, 1, 1, 8, 1024, 0]],
])('a %s of a predecessor that comes late changes nothing', (_name, words) => {
  const { network, note, inject, expectHeard, finish } = setUp();
  network.kill(1);
  network.start(1);
  note();
  network.settle();
  inject(words);
  expectHeard();
  finish();
});

test.each([
  ['name of a TELL', 6, [layout.TELL, 1, 9, 8, 1024, 64]],
  ['subject of an INTEREST', 4, [layout.INTEREST, 1, 4, 0, CCCC]],
  ['queue group of an INTEREST', 5, [layout.INTEREST, 1, 4, 1, CCCC, 0x71]],
  ['names of a SERVE', 3, [layout.SERVE, layout.GROUPS, 64]],
  ['name of a TELL, before it begins,', 6, [layout.TELL, 1, 9, 8, 1024, -4]],
  ['queue group of an INTEREST, before it begins,', 5, [layout.INTEREST, 1, 4, -4, CCCC]],
  ['names of a SERVE, before they begin,', 3, [layout.SERVE, layout.GROUPS, -4]],
])('a frame is a stray, and is not followed, if the %s ends outside of it', (...each) => {
  const [, count, words] = each;
  const { network, bus, inject, expectHeard, finish } = setUp();
  let got = 0;
  bus.subscribe('b', () => void got++);
  network.settle();
  inject(words, count);
  expect(bus.stats().strays).toBe(1);
  expect(bus.tryPublish('cccc', 'x')).toBe(true);
  expect(bus.stats().unmatched).toBe(1);
  expect(network.bus(1).tryPublish('b', 'x')).toBe(true);
  expectHeard();
  expect(got).toBe(1);
  finish();
});

test.each([
  ['to another start of this bus', [9, 1]],
  ['by another start of the peer', [1, 9]],
])('DONE %s passes no fence', async (_name, epochs) => {
  const { network, bus, inject, finish } = setUp();
  let isPassed = false;
  void bus.flush().then(() => {
    isPassed = true;
  });
  for (let tick = 0; tick < 8; tick++) await Promise.resolve();
  inject([layout.DONE, ...epochs, BIG, BIG, 1, BIG]);
  for (let tick = 0; tick < 8; tick++) await Promise.resolve();
  expect(isPassed).toBe(false);
  network.settle();
  for (let tick = 0; tick < 8; tick++) await Promise.resolve();
  expect(isPassed).toBe(true);
  finish();
});

test('a question of a bus that is known to have died keeps no fence waiting', async () => {
  const { network, bus, inject, finish } = setUp();
  network.member(0).gone(1, network.kill(1));
  inject([layout.ASK, 1]);
  let isPassed = false;
  void bus.flush().then(() => {
    isPassed = true;
  });
  for (let tick = 0; tick < 8; tick++) await Promise.resolve();
  expect(isPassed).toBe(true);
  finish();
});

test('a fence waits for the interests before it, however full the window is', async () => {
  const { pool, network, bus, finish } = setUp(4);
  network.room.set('0>1', 0);
  expect(bus.tryPublish('a', Packet.tryFrom(pool, 'x') as Packet)).toBe(true);
  const got: string[] = [];
  const subscription = bus.subscribe('new', (message) => void got.push(message.text()));
  let isKnown = false;
  void subscription.subscribed().then(() => {
    isKnown = true;
  });
  network.flush();
  network.room.delete('0>1');
  for (let i = 0; i < 100 && !isKnown; i++) {
    network.flush();
    network.deliver(0, 1);
    network.flush();
    network.deliver(1, 0);
    for (let tick = 0; tick < 4; tick++) await Promise.resolve();
  }
  expect(isKnown).toBe(true);
  expect(network.bus(1).tryPublish('new', 'at once')).toBe(true);
  network.settle();
  expect(got).toEqual(['at once']);
  finish();
});

test('a reference whose frame died with its sender goes back when that is known', () => {
  const { pool, network, bus, finish } = setUp();
  bus.subscribe('p', () => {});
  network.settle();
  // Of a packet one region is sent: the reference.
  network.room.set('1>0', 1);
  expect(network.bus(1).tryPublish('p', Packet.tryFrom(pool, 'x') as Packet)).toBe(true);
  network.flush();
  const epoch = network.kill(1);
  while (network.deliver(1, 0));
  const { held } = pool.who();
  network.member(0).gone(1, epoch);
  expect(pool.who().held).toBe(held - 1);
  finish();
});

test('a bus that has ended holds no buffer for the goodbyes that others ask for', async () => {
  const { pool, network, bus } = setUp();
  network.kill(1);
  network.settle();
  bus.close();
  network.settle();
  network.start(1);
  network.settle();
  network.kill(1);
  for (let i = 0; i < 8; i++) await Promise.resolve();
  network.flush();
  expectAllHome(pool);
  network.end();
});
