// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { arbitrarySeed, Random } from '../../src/base/random.ts';
import { native } from '../../src/native/index.ts';
import {
  CONFIG_BIND,
  CONFIG_FAMILY,
  CONFIG_WORDS,
  IN_CAPACITY,
  IN_OFFSET,
  IN_WORDS,
  OPENED_WORDS,
  OUT_ADDRESS,
  OUT_LENGTH,
  OUT_OFFSET,
  OUT_SEGMENT,
  OUT_WORDS,
  SENT_WORDS,
  udpCalls,
} from '../../src/native/udp.ts';
import { isShimBuilt } from './built-shim.ts';

const PROGRAM = fileURLToPath(new URL('../../build/test/native/udp.worker.js', import.meta.url));

test('the feature says why there is none, or that there is', () => {
  const { udp } = native.features;
  expect(udp.available).toBe(isShimBuilt());
  for (const { available, reason } of [udp, udp.gso, udp.gro]) {
    expect(reason === '').toBe(available);
  }
});

test('workers are ended in the midst of sending and receiving', async () => {
  const random = new Random(arbitrarySeed());
  for (let round = 0; round < 6; round++) {
    const worker = new Worker(PROGRAM);
    const [implementation] = await once(worker, 'message');
    expect(implementation).toBe(isShimBuilt() ? 'native' : 'dgram');
    for (let turns = random.below(50); turns > 0; turns--) await new Promise(setImmediate);
    await worker.terminate();
  }
});

const calls = udpCalls();
if (calls !== undefined) {
  const config = new Int32Array(CONFIG_WORDS);
  config[CONFIG_FAMILY] = config[CONFIG_BIND] = 4;
  const bytes = new Uint8Array(100);

  test('what only a mistake of ours could pass to the shim is refused there', () => {
    const odd = calls as unknown as Record<string, (...args: unknown[]) => unknown>;
    const opened = new Int32Array(OPENED_WORDS);
    const socket = calls.udpOpen(config, () => {}, opened) as never;
    for (const name of Object.keys(odd).filter((key) => /^udp(?!Probe)/.test(key))) {
      expect(() => odd[name]?.(), name).toThrow(/wrong number of arguments/);
      for (const wrong of [undefined, 1, {}, new Int32Array(64)]) {
        const args = Array(7).fill(wrong);
        for (let count = 1; count <= 7; count++) {
          expect(() => odd[name]?.(...args.slice(0, count)), name).toThrow(TypeError);
        }
      }
    }
    expect(() => odd.udpOpen?.(new Int32Array(3), () => {}, opened)).toThrow(/more words/);
    expect(() => odd.udpSend?.(socket, bytes, new Int32Array(4), 2, opened, 64, opened)).toThrow(
      /longer table/,
    );
    expect(() => odd.udpReceive?.(socket, bytes, new Int32Array(15), 1)).toThrow(/longer table/);
    calls.udpClose(socket);
    expect(() => calls.udpState(socket, opened)).toThrow(/the socket was closed/);
  });

  test('numbers that make no sense are refused, and every call comes to an end', () => {
    const opened = new Int32Array(OPENED_WORDS);
    const socket = calls.udpOpen(config, () => {}, opened) as never;
    const invalid = -22;
    const count = 3000;
    const to = opened.slice(8);
    const send = (segments: number, segment = 0, address = to): number => {
      const table = new Int32Array(count * OUT_WORDS);
      for (let row = 0; row < table.length; row += OUT_WORDS) {
        table[row + OUT_LENGTH] = 1;
        table[row + OUT_SEGMENT] = segment;
      }
      const sent = new Int32Array(SENT_WORDS);
      return calls.udpSend(socket, bytes, table, count, address, segments, sent);
    };
    for (const segments of [-1, 129, count, 0x7fffffff]) expect(send(segments)).toBe(invalid);
    expect(send(64, -1)).toBe(invalid);
    expect(send(64, 65_536)).toBe(invalid);
    expect(send(64, 0, Int32Array.of(5, 9, 0, 0, 0, 0, 0, 0))).toBe(invalid);
    expect(send(64, 0, Int32Array.of(4, 65_536, 0, 0, 0, 0, 0, 0))).toBe(invalid);
    expect(send(64)).toBeGreaterThan(0);
    expect(calls.udpWatch(socket, 4)).toBe(invalid);
    expect(calls.udpSetOption(socket, 5, 0, 1)).toBe(invalid);
    expect(calls.udpMulticast(socket, Int32Array.of(5, 0, 0, 0, 0, 0, 0, 0), to, true)).toBe(
      invalid,
    );
    calls.udpClose(socket);
    expect(calls.udpOpen(new Int32Array(CONFIG_WORDS), () => {}, opened)).toBeUndefined();
    expect(opened[0]).toBe(invalid);
  });

  test('offsets outside the memory are refused before the kernel sees them', () => {
    const socket = calls.udpOpen(config, () => {}, new Int32Array(OPENED_WORDS)) as never;
    const sent = new Int32Array(SENT_WORDS);
    const one = new Int32Array(8);
    const out = (offset: number, length: number, address: number): number => {
      const table = new Int32Array(OUT_WORDS);
      table[OUT_OFFSET] = offset;
      table[OUT_LENGTH] = length;
      table[OUT_ADDRESS] = address;
      return calls.udpSend(socket, bytes, table, 1, one, 64, sent);
    };
    const place = (offset: number, capacity: number): number => {
      const table = new Int32Array(IN_WORDS);
      table[IN_OFFSET] = offset;
      table[IN_CAPACITY] = capacity;
      return calls.udpReceive(socket, bytes, table, 1);
    };
    const fault = -14;
    for (const [offset, length] of [
      [-1, 1],
      [0, -1],
      [0, 101],
      [100, 1],
      [0x7fffffff, 0x7fffffff],
    ]) {
      expect(out(offset, length, -1)).toBe(fault);
      expect(place(offset, length)).toBe(fault);
    }
    expect(out(0, 1, 1)).toBe(fault);
    expect(out(0, 1, -2)).toBe(fault);
    expect(place(0, 100)).toBe(-11);
    calls.udpClose(socket);
  });
}
