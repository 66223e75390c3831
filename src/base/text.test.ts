// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { buildPrograms } from '../../test/program.ts';
import { Random } from './random.ts';
import { readText } from './text.ts';

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

test('a thread that changes the bytes while they are read does not end the process', () => {
  buildPrograms();
  const program = new URL('../../build/test/threads/text.main.js', import.meta.url);
  const { status, signal } = spawnSync(process.execPath, [fileURLToPath(program)]);
  expect([status, signal]).toEqual([0, null]);
});
