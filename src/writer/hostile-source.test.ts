// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { LocalWriter, SharedWriter, WriteFlusher } from './index.ts';

test('a source that lies leaves no reservation open behind it', () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 4, maxThreads: 1 });
  const flusher = WriteFlusher.create(pool);
  const long = Object.defineProperty(new Uint8Array(30), 'length', { value: 100 });
  const arrived: number[] = [];
  for (const writer of [new LocalWriter(flusher), SharedWriter.create(flusher)]) {
    expect(() => writer.tryWrite(long)).toThrow(RangeError);
    expect(writer.tryWrite(new Uint8Array(40))).toBe(true);
    expect(writer.flush()).toBe(true);
    flusher.drain((_writer, _offset, length, id) => {
      arrived.push(length);
      pool.release(id);
    });
    writer.close();
  }
  expect(arrived).toEqual([40, 40]);
});

test('a length that is no number is refused by the name of the source', () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 4, maxThreads: 1 });
  const writer = new LocalWriter(WriteFlusher.create(pool));
  const length = new Proxy(new Int32Array(3), {});
  const odd = Object.defineProperty(new Uint8Array(30), 'length', { value: length });
  expect(() => writer.tryWrite(odd)).toThrow(/^end must be an integer/);
  expect(() => writer.tryWrite(odd, 0, 30)).not.toThrow();
  writer.close();
});

test('a source that cannot be read is refused before the writer takes a buffer', () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 4, maxThreads: 1 });
  const writer = new LocalWriter(WriteFlusher.create(pool));
  const unreadable = new Proxy(new Uint8Array(8), {
    get: (bytes, key) =>
      key === '0' ? { valueOf: null, toString: null } : Reflect.get(bytes, key),
  });
  expect(() => writer.tryWrite(unreadable, 0, 3)).toThrow(
    /^source must be a string or a Uint8Array/,
  );
  expect(pool.stats().held).toBe(0);
  writer.close();
});
