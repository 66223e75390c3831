// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { IN_CAPACITY, IN_LENGTH, IN_OFFSET, IN_WORDS } from '../../native/udp.ts';
import { DatagramBacklog } from './datagram-backlog.ts';

function makeBacklog(bytesMax: number) {
  const bytes = new Uint8Array(new SharedArrayBuffer(1024));
  const owner = { readable() {}, writable() {}, failed() {}, sendFailed() {} };
  const backlog = new DatagramBacklog(bytes, owner, bytesMax);
  const table = new Int32Array(IN_WORDS);
  table[IN_OFFSET] = 100;
  table[IN_CAPACITY] = 10;
  return { bytes, backlog, table };
}

test('a reader that is always a little behind does not make the backlog grow', () => {
  const { bytes, backlog, table } = makeBacklog(100_000);
  const source = new Int32Array(8);
  let places = 0;
  backlog.push(Uint8Array.of(0), source);
  for (let n = 1; n < 10_000; n++) {
    backlog.push(Uint8Array.of(n & 0xff), source);
    expect(backlog.receive(table, 1)).toBe(1);
    expect(bytes[100]).toBe((n - 1) & 0xff);
    // biome-ignore lint/complexity/useLiteralKeys: how much it keeps is nobody else's to know
    places = Math.max(places, backlog['waiting'].length);
  }
  expect(places).toBeLessThan(1000);
  expect(backlog.dropped).toBe(0);
});

test('what finds no room is dropped and counted, what is too long is cut', () => {
  const { backlog, table } = makeBacklog(1000);
  const source = new Int32Array(8);
  for (let n = 0; n < 5; n++) backlog.push(new Uint8Array(20), source);
  expect(backlog.dropped).toBe(2);
  for (let n = 0; n < 3; n++) expect(backlog.receive(table, 1)).toBe(1);
  expect(table[IN_LENGTH]).toBe(10);
  expect(backlog.receive(table, 1)).toBeLessThan(0);
  backlog.push(new Uint8Array(20), source);
  expect(backlog.dropped).toBe(2);
});
