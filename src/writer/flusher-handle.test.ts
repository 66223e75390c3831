// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { FlusherLayout, HEADER_REGIONS, HEADER_WRITERS } from './flusher-layout.ts';
import { WriteFlusher, type WriteFlusherHandle } from './index.ts';

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 2 });
const { handle } = WriteFlusher.create(pool, { writerCount: 4, regionCount: 4 });

function expectRefused(forged: unknown): void {
  expect(() => WriteFlusher.attach(pool, forged as WriteFlusherHandle)).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' }),
  );
}

/** The true header, but for these two fields, in a block that is as long as they say. */
function forge(writers: number, regions: number): WriteFlusherHandle {
  const { wordCount } = new FlusherLayout(writers, regions);
  const words = new Int32Array(new SharedArrayBuffer(4 * Math.max(wordCount, 64)));
  words.set(new Int32Array(handle.control).subarray(0, 32));
  words[HEADER_WRITERS] = writers;
  words[HEADER_REGIONS] = regions;
  return { ...handle, control: words.buffer };
}

test('a block whose header says what no flusher can be is refused, whatever its length', () => {
  expect(WriteFlusher.attach(pool, forge(2, 8)).layout.regionCount).toBe(8);
  for (const [writers, regions] of [
    [0, 4],
    [-1, 4],
    [70_000, 2],
    [1, 0],
    [1, 1],
    [1, 3],
    [1, 6],
  ]) {
    expectRefused(forge(writers, regions));
  }
});

test('a block that is none, or can grow, is refused with the error of a handle', () => {
  const growable = Reflect.construct(SharedArrayBuffer, [
    handle.control.byteLength,
    { maxByteLength: handle.control.byteLength },
  ]);
  const fakes = [
    growable,
    new Proxy(handle.control, {}),
    Object.create(SharedArrayBuffer.prototype),
    new ArrayBuffer(64),
  ];
  for (const control of fakes) expectRefused({ ...handle, control });
});

test('each field of a handle is read once', () => {
  const reads: PropertyKey[] = [];
  const watched = new Proxy(
    { ...handle },
    {
      get(target, key) {
        reads.push(key);
        return Reflect.get(target, key);
      },
    },
  );
  WriteFlusher.attach(pool, watched);
  expect(reads.sort()).toEqual(['control', 'kind', 'version']);
});
