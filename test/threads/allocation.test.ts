// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(
  new URL('../../build/test/threads/allocation.main.js', import.meta.url),
);

test('ten million uses of buffers, of each kind, leave nothing to collect', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--trace-gc', program], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const lines = stdout.split('\n');
  for (const name of ['acquire and release', 'retain and release', 'send and receive']) {
    const begin = lines.indexOf(`begin ${name}`);
    const end = lines.indexOf(`end ${name}`);
    expect(begin).toBeGreaterThanOrEqual(0);
    expect(lines.slice(begin + 1, end)).toEqual([]);
  }
  const last = JSON.parse(lines.find((line) => line.startsWith('{')) ?? '');
  expect(last).toMatchObject({ free: 256, held: 0 });
  expect(last.acquires).toBeGreaterThan(10_000_000);
  expect(last.refills).toBeGreaterThan(10_000);
});
