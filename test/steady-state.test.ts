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
  expect(begin).toBeGreaterThanOrEqual(0);
  // The trace: every line that V8 printed between the marks of a round. Garbage that messages make
  // shows in each round; what the compiler makes ends with it.
  const rounds = lines.flatMap((line, i) =>
    line === 'begin' ? [lines.slice(i + 1, lines.indexOf('end', i))] : [],
  );
  expect(rounds.length).toBe(3);
  expect(rounds).toContainEqual([]);
  expect(lines).toContainEqual(expect.stringMatching(/^messages 3\d{7} held 0 in transit 0$/));
  // The collector does report, so that an empty trace means something.
  expect(lines.slice(0, begin).some((line) => /Scavenge|Mark-Compact/.test(line))).toBe(true);
});
