// SPDX-License-Identifier: MIT
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const program = fileURLToPath(
  new URL('../../build/test/threads/sync-allocation.main.js', import.meta.url),
);
/** What the program makes objects for, to show that they are seen. */
const CONTROL = 'an object for each call';

test('to take what is free, to ask and to wait for what is not, makes no object', async () => {
  const flags = ['--trace-gc', '--max-semi-space-size=1', program];
  const { stdout } = await promisify(execFile)(process.execPath, flags);
  const lines = stdout.split('\n');
  /** For each use: how often the collector ran in each of its rounds. */
  const rounds: Record<string, number[]> = {};
  for (const [i, line] of lines.entries()) {
    if (!line.startsWith('begin ')) continue;
    const name = line.slice('begin '.length);
    rounds[name] ??= [];
    rounds[name].push(lines.indexOf('end', i) - i - 1);
  }
  expect(Object.keys(rounds).length).toBeGreaterThan(80);
  // Garbage that calls make shows in each round; what the compiler makes ends with it.
  const littering = Object.keys(rounds).filter((name) => !rounds[name].includes(0));
  expect(littering).toEqual([CONTROL]);
});
