// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../build/test/threads/leaks.main.js', import.meta.url));

function run(args: string[], track: string | undefined): { status: number | null; stderr: string } {
  const { BUSBAR_TRACK_LEAKS: _, ...rest } = process.env;
  const env = track === undefined ? rest : { ...rest, BUSBAR_TRACK_LEAKS: track };
  return spawnSync(process.execPath, ['--enable-source-maps', program, ...args], {
    encoding: 'utf8',
    env,
  });
}

test('with BUSBAR_TRACK_LEAKS=1 a process says at its exit what was never released', () => {
  const { status, stderr } = run(['3'], '1');
  expect(status).toBe(0);
  expect(stderr).toContain('busbar: 3 packets were never released');
  expect(stderr.match(/buffer \d+, created/g)).toHaveLength(3);
  expect(stderr.match(/forget .*leaks\.main\.ts:9/g)).toHaveLength(3);
});

test('of many packets the report shows the first few', () => {
  const { stderr } = run(['30'], '1');
  expect(stderr).toContain('busbar: 30 packets were never released');
  expect(stderr.match(/buffer \d+, created/g)).toHaveLength(10);
});

test('a process that released everything, or does not track, says nothing', () => {
  for (const [args, track] of [
    [['3', 'release'], '1'],
    [['3', 'detach'], '1'],
    [['3'], undefined],
    [['3'], '0'],
  ] as const) {
    expect(run([...args], track)).toMatchObject({ status: 0, stderr: '' });
  }
});
