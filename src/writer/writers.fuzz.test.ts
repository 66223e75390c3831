// SPDX-License-Identifier: MIT
import { test } from 'vitest';
import { runOracle } from '../../test/threads/writer-oracle.ts';

test('a local writer delivers the longest committed run, in whatever order they end', () => {
  for (let i = 0; i < 300; i++) runOracle(0, 300);
});

test('so does a shared writer with several objects', () => {
  for (let i = 0; i < 300; i++) runOracle(1 + (i % 4), 300);
});
