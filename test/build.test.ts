// SPDX-License-Identifier: MIT
/** Tests never run against an old build: each run builds first what is out of date, or fails. */
import { rmSync } from 'node:fs';
import { afterAll, expect, test, vi } from 'vitest';
import { Stamp } from '../scripts/stamp.mjs';
import { setup } from '../scripts/vitest-setup.mjs';
import config from '../vitest.config.ts';

const build = vi.hoisted(() => vi.fn<() => Promise<boolean>>());
vi.mock('../scripts/build.mjs', () => ({ build }));

const NAME = 'build-test';
const SOURCES = ['test/build.test.ts'];
const OUTPUTS = ['package.json'];

afterAll(() => rmSync(new URL(`../build/.${NAME}`, import.meta.url), { force: true }));

test('a part is built again if a source has changed or come, or an output is gone', () => {
  const stamp = new Stamp(NAME, SOURCES, OUTPUTS);
  expect(stamp.isFresh(), 'never built').toBe(false);
  stamp.write();
  expect(stamp.isFresh()).toBe(true);
  expect(new Stamp(NAME, SOURCES, OUTPUTS).isFresh()).toBe(true);
  expect(new Stamp(NAME, ['tsconfig.json'], OUTPUTS).isFresh(), 'another text').toBe(false);
  expect(new Stamp(NAME, [...SOURCES, 'tsconfig.json'], OUTPUTS).isFresh()).toBe(false);
  expect(new Stamp(NAME, SOURCES, ['dist/none.js']).isFresh(), 'no output').toBe(false);
  stamp.forget();
  expect(stamp.isFresh()).toBe(false);
});

test('a run of the tests, or of the watcher, builds first; if that fails it ends', async () => {
  expect(config.test?.globalSetup).toEqual(['scripts/vitest-setup.mjs']);
  let rerun: (() => Promise<void>) | undefined;
  const project = {
    onTestsRerun: (listener: () => Promise<void>) => {
      rerun = listener;
    },
  };
  build.mockResolvedValue(true);
  await setup(project);
  build.mockResolvedValue(false);
  await expect(rerun?.()).rejects.toThrow(/build failed/);
  await expect(setup(project)).rejects.toThrow(/build failed/);
  expect(build).toHaveBeenCalledTimes(3);
});
