// SPDX-License-Identifier: MIT
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { scaled } from '../effort.ts';
import { testSeed } from '../threads/worker-crew.ts';

const PROGRAM = fileURLToPath(new URL('../../build/test/chaos/chaos.main.js', import.meta.url));

/** What it prints; rejects with what it says of a failure, the seed included. */
async function chaos(...args: readonly string[]): Promise<string> {
  const seed = String(testSeed() || 1);
  const all = [PROGRAM, '--seed', seed, ...args];
  const run = promisify(execFile)(process.execPath, all);
  return (await run).stdout;
}

test('threads die, connections end, buffers run out; only what died is lost', async () => {
  const kills = scaled(20);
  const report = await chaos('--kills', String(kills));
  const found = Number(/(\d+) kills in \d+ events/.exec(report)?.[1]);
  expect(found).toBeGreaterThanOrEqual(kills);
  expect(report).toMatch(/[1-9]\d* came back; all contents right/);
});

test.each([
  // A hoarder that dies with all buffers in hand leaves none to go on with, if nobody reclaims.
  ['leak', /is attached, and nobody's|nothing moves/],
  ['lose', /taken by/],
  ['change', /has the sum/],
  ['repeat', /came twice/],
])('a fault of the kind "%s" is found', async (sabotage, message) => {
  const running = chaos('--kills', '20', '--sabotage', sabotage);
  await expect(running).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(message) });
});
