// SPDX-License-Identifier: MIT
/** The bytes that comments on the public surface state are those of the layouts. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PoolLayout } from '../pool/pool-layout.ts';
import { ChannelLayout, type ChannelLoad } from './channel-layout.ts';

function comments(path: string): string {
  const text = readFileSync(new URL(path, import.meta.url), 'utf8');
  return text.replace(/\n\s*\* ?/g, ' ');
}

function slotBytes(kind: 'spsc' | 'mpsc' | 'mpmc', load: ChannelLoad): number {
  return new ChannelLayout(kind, load, 8, 16).slotWords * Int32Array.BYTES_PER_ELEMENT;
}

test('a slot of a channel', () => {
  const stated = [...comments('channel.ts').matchAll(/(\d+) bytes \(spsc\) or (\d+) per slot/g)];
  const [packets, words] = stated.map((each) => each.slice(1).map(Number));
  expect(packets).toEqual([slotBytes('spsc', 'packets'), slotBytes('mpsc', 'packets')]);
  expect(words).toEqual([slotBytes('spsc', 'words'), slotBytes('mpsc', 'words')]);
  expect(slotBytes('mpmc', 'packets')).toBe(slotBytes('mpsc', 'packets'));
  expect(slotBytes('mpmc', 'words')).toBe(slotBytes('mpsc', 'words'));
});

test('a packet in a lane of executors', () => {
  const [, bytes] =
    comments('../executor/group-options.ts').match(/Default 1024; (\d+) bytes/) ?? [];
  expect(Number(bytes)).toBe(slotBytes('spsc', 'packets'));
});

test('the control memory of a pool', () => {
  const create = comments('../pool/buffer-pool.ts');
  const [, perBuffer, perThread] = create.match(/(\d+) bytes per buffer, (\d+) per buffer/) ?? [];
  const [, most, usual] = create.match(/up to (\d+) MiB by `maxThreads` \(([\d.]+) for 16\)/) ?? [];
  const bytesOf = (buffers: number, threads: number): number => {
    return new PoolLayout(buffers, threads, 1, false).wordCount * Int32Array.BYTES_PER_ELEMENT;
  };
  // Up to 1024 buffers the table of holders grows as well.
  const slope = (threads: number): number =>
    (bytesOf(4096, threads) - bytesOf(2048, threads)) / 2048;
  expect(slope(16)).toBe(Number(perBuffer) + 16 * Number(perThread));
  expect(slope(1)).toBe(Number(perBuffer) + Number(perThread));
  const rest = (threads: number): number =>
    (bytesOf(2048, threads) - 2048 * slope(threads)) / 2 ** 20;
  expect(rest(16)).toBeCloseTo(Number(usual), 1);
  expect(rest(1024)).toBeLessThan(Number(most));
});
