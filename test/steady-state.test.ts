// SPDX-License-Identifier: MIT
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('../build/test/steady-state.main.js', import.meta.url));

test('10⁷ messages through framer, packet, writer, flusher: no garbage collection', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--trace-gc',
    program,
    '10000000',
  ]);
  const lines = stdout.trim().split('\n');
  const begin = lines.indexOf('begin');
  const end = lines.indexOf('end');
  expect(begin).toBeGreaterThanOrEqual(0);
  // The trace: every line that V8 printed between the two marks. It must be empty.
  expect(lines.slice(begin + 1, end)).toEqual([]);
  expect(lines).toContainEqual(expect.stringMatching(/^messages 1\d{7} held 0 in transit 0$/));
  // The collector does report, so that an empty trace means something.
  expect(lines.slice(0, begin).some((line) => /Scavenge|Mark-Compact/.test(line))).toBe(true);
});
