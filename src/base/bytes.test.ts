// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { copyNarrowWords, copyWideWords, moveWords } from './bytes.ts';

/** More than twice the largest step, of which the last overlaps the one before. */
const COUNT_MAX = 50;

test.each([copyNarrowWords, copyWideWords, moveWords])(
  '%o copies each number of bytes, and writes no others',
  (copy) => {
    const source = Uint8Array.from({ length: COUNT_MAX + 3 }, (_, i) => 255 - i);
    const block = new SharedArrayBuffer(COUNT_MAX + 16);
    const bytes = new Uint8Array(block);
    for (let count = 0; count <= COUNT_MAX; count++) {
      for (const [to, from] of [
        [0, 0],
        [5, 3],
        [8, 1],
      ]) {
        bytes.fill(1);
        const expected = Uint8Array.from(bytes);
        expected.set(source.subarray(from, from + count), to);
        copy(new DataView(block), to, new DataView(source.buffer), from, count);
        expect(bytes).toEqual(expected);
      }
    }
  },
);

test.each([copyNarrowWords, copyWideWords])(
  '%o throws at a source that is too short or gone, and writes nothing outside',
  (copy) => {
    const bytes = new Uint8Array(new SharedArrayBuffer(64));
    const source = new Uint8Array(40);
    const view = new DataView(source.buffer);
    expect(() => copy(new DataView(bytes.buffer), 8, view, 9, 32)).toThrow(RangeError);
    structuredClone(source, { transfer: [source.buffer] });
    expect(() => copy(new DataView(bytes.buffer), 8, view, 0, 32)).toThrow(TypeError);
    expect([...bytes.subarray(0, 8), ...bytes.subarray(40)]).toEqual(Array(32).fill(0));
  },
);
