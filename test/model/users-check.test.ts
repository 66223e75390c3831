// SPDX-License-Identifier: MIT
/** `busbar/testing` as the package exports it: a user's program in its own process. */

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
  // A line of the program with its number, and below which call it stands.
  const trace = failed.map((line) => line.replace(/ +model\/users-check\.main\.ts:\d+ .*/, ''));
  expect(trace.join('\n')).toBe(FOUND);
  expect(failed.join('\n')).toMatch(/ts:\d+ {2}const tail = Atomics.load.* ← model\/\S+ts:\d+\n/);
});

const FOUND = `two threads push into a BuggyQueue: assertion: Error: 2 is lost
replay with: replay(scenario, 'a:0 b:0 a:2 b:4 a:*')
       a                 b
    1  load TAIL → 0
    2  load HEAD → 0
       ~ interrupted ~
    3                    load TAIL → 0
    4                    load HEAD → 0
    5                    store TAIL = 1
    6                    store slot 0 = 2
    7  store TAIL = 1
    8  store slot 0 = 1
replayed`;
