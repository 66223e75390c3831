// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test, vi } from 'vitest';
import { buildPrograms } from '../../test/program.ts';
import { Random } from './random.ts';
import { readText } from './text.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('text is decoded as TextDecoder does, whatever the bytes', () => {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const random = new Random(8);
  const pieces = ['a', 'é', '€', '😀', '\uFEFF', '\0'].map((text) => [...Buffer.from(text)]);
  const wrong = [
    [0xc3],
    [0xe2, 0x82],
    [0xf0, 0x9f, 0x98],
    [0xed, 0xa0, 0x80],
    [0xff],
    [0x80],
    [0xc0, 0xaf],
  ];
  for (let round = 0; round < 3000; round++) {
    const count = random.chance(0.02) ? 3000 : random.below(30);
    const parts = Array.from({ length: count }, () =>
      random.chance(0.2) ? wrong[random.below(7)] : pieces[random.below(6)],
    );
    const bytes = new Uint8Array(new SharedArrayBuffer(parts.flat().length + 3));
    bytes.set(parts.flat(), 3);
    expect(readText(bytes, 3, bytes.length)).toBe(decoder.decode(bytes.slice(3)));
  }
});

test('text is written where the engine encodes into no shared memory, as in browsers', async () => {
  const { encodeInto } = TextEncoder.prototype;
  vi.spyOn(TextEncoder.prototype, 'encodeInto').mockImplementation(function (
    this: never,
    text: string,
    bytes: Uint8Array,
  ) {
    if (bytes.buffer instanceof SharedArrayBuffer) throw new TypeError('it must not be shared');
    return encodeInto.call(this, text, bytes);
  });
  vi.resetModules();
  const { textBytes, writeText } = await import('./text.ts');
  const text = '€ and 😀, and as much again as no loop writes';
  const bytes = new Uint8Array(new SharedArrayBuffer(100));
  writeText(bytes, 2, text, textBytes(text));
  expect(readText(bytes, 2, 2 + textBytes(text))).toBe(text);
  expect(bytes[1]).toBe(0);
  expect(bytes[2 + textBytes(text)]).toBe(0);
});

test('a thread that changes the bytes while they are read does not end the process', () => {
  buildPrograms();
  const program = new URL('../../build/test/threads/text.main.js', import.meta.url);
  const { status, signal } = spawnSync(process.execPath, [fileURLToPath(program)]);
  expect([status, signal]).toEqual([0, null]);
});
