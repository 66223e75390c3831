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
