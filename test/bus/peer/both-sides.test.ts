// SPDX-License-Identifier: MIT
/** A message that goes to subscribers of its own bus and of a peer: both see the same. */

import type { BusMessage } from 'busbar/bus';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { drain, expectAllHome } from '../../pool-expectations.ts';
import { PeerNetwork } from './network.ts';

const BUFFER_SIZE = 1024;

function setUp() {
  const pool = BufferPool.create({ bufferSize: BUFFER_SIZE, bufferCount: 64 });
  const network = new PeerNetwork(pool, 2);
  const bus = network.start(0);
  const peer = network.start(1);
  const seen: object[][] = [[], []];
  const note =
    (at: number) =>
    ({ subject, reply, headers, source, sequence, length }: BusMessage): void =>
      void seen[at].push({ subject, reply, headers, source, sequence, length });
  peer.subscribe('there', note(1));
  peer.subscribe('both', note(1));
  network.settle();
  const finish = (): void => {
    network.end();
    expectAllHome(pool);
  };
  return { pool, network, bus, note, seen, finish };
}

test('subject, reply subject, headers, source and sequence are the same here and there', () => {
  const { pool, network, bus, note, seen, finish } = setUp();
  bus.subscribe('both', note(0));
  const headers = { Kind: 'test' };
  for (const options of [{ reply: 'to.me', headers }, {}, { reply: 'again' }, { headers }]) {
    expect(bus.tryPublish('both', 'x', options)).toBe(true);
    expect(bus.tryPublish('both', Packet.tryFrom(pool, 'xyz') as Packet, options)).toBe(true);
  }
  network.settle();
  expect(seen[0]).toHaveLength(8);
  expect(seen[0].map((each) => (each as BusMessage).reply)).toEqual([
    'to.me',
    'to.me',
    undefined,
    undefined,
    'again',
    'again',
    undefined,
    undefined,
  ]);
  expect(seen[1]).toEqual(seen[0]);
  finish();
});

test('a message that gets no reference of its own gives none back later', () => {
  const { pool, network, bus, seen, finish } = setUp();
  const packet = Packet.tryFrom(pool, 'x') as Packet;
  // As at the limit of references to a buffer.
  Object.defineProperty(pool, 'retain', { configurable: true, value: () => throwFull() });
  expect(() => bus.tryPublish('there', packet)).toThrow('full');
  Reflect.deleteProperty(pool, 'retain');
  const held = drain(pool);
  expect(bus.tryPublish('there', 'x'.repeat(BUFFER_SIZE - 8))).toBe(false);
  for (const id of held) pool.release(id);
  expect(bus.tryPublish('there', packet)).toBe(true);
  network.settle();
  expect(seen[1]).toHaveLength(1);
  finish();
});

function throwFull(): never {
  throw new Error('full');
}

test('a message by reference that finds no buffer for its frame holds none itself', () => {
  const { pool, network, bus, seen, finish } = setUp();
  const packet = Packet.tryFrom(pool, 'x') as Packet;
  const held = drain(pool);
  // What is left of the buffer of frames goes first.
  let sent = 0;
  while (bus.tryPublish('there', 'x'.repeat(100))) sent++;
  while (bus.tryPublish('there', '')) sent++;
  expect(bus.tryPublish('there', packet)).toBe(false);
  expect(bus.tryPublish('there', 'x'.repeat(BUFFER_SIZE - 8))).toBe(false);
  expect(packet.released).toBe(false);
  for (const id of held) pool.release(id);
  expect(bus.tryPublish('there', packet)).toBe(true);
  network.settle();
  expect(seen[1]).toHaveLength(sent + 1);
  finish();
});
