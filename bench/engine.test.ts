// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { engineOf, versionIn } from './engine.ts';

test('what engines print as their version', () => {
  expect(versionIn('v26.12.1\n')).toBe('Node v26.12.1');
  expect(versionIn('1.4.5\n')).toBe('Bun 1.4.5');
  expect(versionIn('deno 2.9.6 (stable, release)\nv8 14.2.1\n')).toBe('Deno 2.9.6');
});

test('this engine by its path, and one that is not there', () => {
  expect(engineOf(process.execPath)).toEqual({
    command: [process.execPath],
    version: `Node ${process.version}`,
    isNode: true,
  });
  expect(() => engineOf('no-such-engine')).toThrow('--engine no-such-engine does not run');
});
