// SPDX-License-Identifier: MIT
/** `busbar/testing` as the package offers it: a program of a user's, in a process of its own. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ModelReport } from 'busbar/testing';
import { expect, test } from 'vitest';

const program = fileURLToPath(
  new URL('../../build/test/model/users-check.main.js', import.meta.url),
);

test('a user checks a channel, and finds the bug in a queue of his own', async () => {
  const flags = ['--enable-source-maps', program];
  const { stdout } = await promisify(execFile)(process.execPath, flags);
  const [passed, ...failed] = stdout.trimEnd().split('\n');
  for (const report of JSON.parse(passed as string) as ModelReport[]) {
    expect(report.diverged).toBe(false);
    expect(report.ended).toBeGreaterThan(20);
  }
  const trace = failed.map((line) => line.replace(/ +(?=model\/)/, '  ')).join('\n');
  expect(trace.replace(/\.ts:\d+/g, '.ts')).toBe(FOUND);
});

const FOUND = `two threads push into a BuggyQueue: assertion: Error: 2 is lost
replay with: a:0 b:0 a:2 b:4 a:*
    1  a  load TAIL → 0  model/users-check.main.ts
    2  a  load HEAD → 0  model/users-check.main.ts
    3  b  load TAIL → 0  model/users-check.main.ts
    4  b  load HEAD → 0  model/users-check.main.ts
    5  b  store TAIL = 1  model/users-check.main.ts
    6  b  store slot 0 = 2  model/users-check.main.ts
    7  a  store TAIL = 1  model/users-check.main.ts
    8  a  store slot 0 = 1  model/users-check.main.ts
replayed`;
