// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { partOf } from './screen.ts';

const LINES = Array.from({ length: 100 }, (_, i) => (i % 50 === 49 ? `! ${i}` : `  ${i}`));

test('what fits is shown as it is, with a row for the cursor', () => {
  const lines = LINES.slice(0, 9);
  expect(partOf(lines, 0, 10)).toEqual({ first: 0, lines });
  expect(partOf(lines, 5, 10)).toEqual({ first: 0, lines });
});

test('what does not fit scrolls, and the last line says what is hidden', () => {
  const top = partOf(LINES, 0, 10);
  expect(top.lines).toHaveLength(9);
  expect(top.lines.slice(0, 8)).toEqual(LINES.slice(0, 8));
  expect(top.lines[8]).toMatch(/^lines 1-8 of 100 \(hidden: 2 with !\); /);
  const end = partOf(LINES, Infinity, 10);
  expect(end).toMatchObject({ first: 92 });
  expect(end.lines.slice(0, 8)).toEqual(LINES.slice(92));
  expect(end.lines[8]).toMatch(/^lines 93-100 of 100 \(hidden: 1 with !\); /);
  expect(partOf(LINES, -7, 10).first).toBe(0);
  expect(partOf(LINES, 93, 10).first).toBe(92);
  for (const line of [...top.lines, ...end.lines]) expect(line.length).toBeLessThanOrEqual(80);
});

test('a terminal of few rows shows what it can', () => {
  for (const rows of [1, 2, 3]) {
    expect(partOf(LINES, 0, rows).lines).toHaveLength(Math.max(1, rows - 1));
  }
});
