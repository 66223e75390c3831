// SPDX-License-Identifier: MIT
/** The end of a log names every failure, also where the log is of several commands. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Failure, failureLines, failuresIn, failuresOf } from '../scripts/failures.mjs';
import { ROOT } from '../scripts/files.mjs';

const two: Failure[] = [
  { place: 'tests', test: 'src/a.test.ts > it holds', text: '\x1b[31mError: 1\x1b[0m\n\n  at\nb' },
  { place: 'lint', test: '', text: '' },
];
const TWO = ['-- 2 failed:', 'FAILED tests: src/a.test.ts > it holds', '  Error: 1', '  at', '  b'];

test('each failure has a line with its name, and the first lines of what was said', () => {
  expect(failureLines([])).toEqual([]);
  expect(failureLines(two)).toEqual([...TWO, 'FAILED lint']);
  const long = [{ place: 'x'.repeat(1000), test: 'a\nb', text: 'line\n'.repeat(100) }];
  const lines = failureLines(long);
  expect(lines.length).toBe(6);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(200);
  const many = Array.from({ length: 60 }, (_, i) => ({ place: `${i}`, test: '', text: '' }));
  expect(failureLines(many).slice(-2)).toEqual(['FAILED 49', 'and 10 more']);
});

test('a report of vitest names tests that failed or were skipped, and files that fail', () => {
  const one = (status: string, fullName: string) => ({ status, fullName, failureMessages: ['no'] });
  const file = (name: string, status: string, assertionResults: object[], message = '') => {
    return { name: ROOT + name, status, assertionResults, message };
  };
  const testResults = [
    file('a.test.ts', 'failed', [one('passed', 'p'), one('failed', 'f'), one('skipped', 's')]),
    file('b.test.ts', 'failed', [], 'cannot be loaded'),
    file('c.test.ts', 'failed', [one('skipped', 's')], 'beforeAll threw'),
    file('d.test.ts', 'passed', [one('passed', 'p')]),
  ];
  expect(failuresOf({ testResults }, 'tests').map(({ test, text }) => [test, text])).toEqual([
    ['a.test.ts > f', 'no'],
    ['a.test.ts > s', 'it is skipped'],
    ['b.test.ts', 'cannot be loaded'],
    ['c.test.ts > s', 'it is skipped'],
    ['c.test.ts', 'beforeAll threw'],
  ]);
});

test('the log of a command says at its end what failed, or how it ended', () => {
  const sum = '\x1b[1m3 passed, 2 failed\x1b[0m';
  const log = `FAILED of long ago\n-- 7 failed:\n${TWO.join('\n')}\n${sum}\n`;
  expect(failuresIn(log, 'npm test')).toEqual(['-- npm test', ...TWO.slice(1)]);
  expect(failuresIn('much\n3 passed, 0 failed\n', 'npm test')).toEqual([]);
  expect(failuresIn('3 passed, 1 failed', 'npm test')).toEqual([
    'FAILED npm test: 3 passed, 1 failed, and does not say what',
  ]);
  expect(failuresIn('a\nb\nKilled\n', 'npm test')).toEqual([
    'FAILED npm test has ended without a sum, after',
    '  a',
    '  b',
    '  Killed',
  ]);
});

test('a log of several commands ends with what failed in each, and the sum', () => {
  const folder = mkdtempSync(join(tmpdir(), 'busbar-failures-'));
  try {
    const ci = readFileSync(`${ROOT}.ci/run`, 'utf8');
    const program = (name: string, lines: readonly string[], code: number) => {
      writeFileSync(join(folder, name), `cat <<'END'\n${lines.join('\n')}\nEND\nexit ${code}\n`);
      return `add sh ${join(folder, name)}`;
    };
    const script = [
      'set -euo pipefail',
      `cd ${ROOT}`,
      ci.slice(ci.indexOf('passed=0'), ci.indexOf('add npm test')),
      program('good', ['4 passed, 0 failed'], 0),
      program('bad', [...TWO, '3 passed, 2 failed'], 1),
      program('killed', ['in the middle'], 137),
      ci.slice(ci.indexOf('if [ -s "$again" ]')),
    ].join('\n');
    const { stdout, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    const end = stdout.slice(stdout.indexOf('What failed')).trimEnd().replaceAll(folder, '');
    expect(end.split('\n')).toEqual([
      'What failed, of all commands:',
      '-- sh /bad',
      ...TWO.slice(1),
      'FAILED sh /killed has ended without a sum, after',
      '  in the middle',
      '7 passed, 3 failed',
    ]);
    expect(status).toBe(1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
