// SPDX-License-Identifier: MIT
/** `--import busbar/testing/register`: the checker sees programs that keep globals. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../build/test/model/register.main.js', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

test('functions, classes and timers that a module has kept are those of the model', async () => {
  const flags = ['--import', 'busbar/testing/register', program];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd: root });
  expect(JSON.parse(stdout)).toEqual({
    lost: 'Error: an update is lost',
    timers: 'passed',
    clocks: '5000000 5000000',
    growing: 'Error: has grown',
    outside: [7, true, 'private'],
  });
});

test('without it, such a program is told that nothing of it is seen', async () => {
  const run = promisify(execFile)(process.execPath, [program], { cwd: root });
  const said = await run.then(
    ({ stdout }) => stdout,
    (error: { stderr: string }) => error.stderr,
  );
  expect(said).toMatch(/memory is shared that setup did not make/);
});
