// SPDX-License-Identifier: MIT
/** A hostile soak of a second: shows that the long one works, and tests its report. */

import { afterAll, expect, test } from 'vitest';
import { buildPrograms, killPrograms, Program } from '../../program.ts';

afterAll(killPrograms);

test('innocent clients get every message among hostile ones, and nothing is left', async () => {
  buildPrograms();
  // How long a message takes is not judged here: the machine may be busy.
  const few = ['--clients', '24', '--pairs', '2', '--yardsticks', '1000000'];
  const args = ['--seconds', '1', '--seed', '5', ...few];
  const soak = new Program('build/test/soak/hostile/hostile.main.js', args);
  const code = await soak.ended;
  const printed = soak.lines.join('\n');
  expect(printed).toMatch(/\d+ innocent messages: p50 [\d.]+ ms, p99 [\d.]+ ms, max [\d.]+ ms/);
  expect(printed).toMatch(/third 3: p99 [\d.]+ yardsticks of [\d.]+ ms, up to \d+ connections/);
  expect(printed).toContain('audit: nothing left, nobody innocent cut off');
  expect(code, printed).toBe(0);
}, 180_000);

test('what it cannot be asked for is named', async () => {
  buildPrograms();
  const soak = new Program('build/test/soak/hostile/hostile.main.js', ['--seconds', 'x']);
  expect(await soak.ended).toBe(2);
  expect(soak.lines.join('\n')).toContain('--seconds must be a whole number from 1 on, got x');
});
