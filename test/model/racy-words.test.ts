// SPDX-License-Identifier: MIT
/** Each word that is declared racy has an argument, and the document lists all of them. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { racyStructures, racyTable } from './racy-words.ts';

const DOCUMENT = join(import.meta.dirname, '../../docs/verification.md');

test.each(racyStructures())('$name: what is declared is what is argued', (structure) => {
  const { wordCount, isDeclared, words } = structure;
  const declared: number[] = [];
  for (let word = 0; word < wordCount; word++) if (isDeclared(word)) declared.push(word);
  const argued = words.flatMap(({ at }) => at).sort((a, b) => a - b);
  expect(argued).toEqual(declared);
});

test('docs/verification.md has the table', () => {
  // Copy what is expected into the document when this fails.
  expect(readFileSync(DOCUMENT, 'utf8')).toContain(racyTable());
});
