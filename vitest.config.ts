// SPDX-License-Identifier: MIT
/** How the tests run: on the sources, two processes at a time, the collector within their reach. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { defineConfig, type ViteUserConfig } from 'vitest/config';

const root: string = import.meta.dirname;

/** Vitest's report leaves errors outside every test out; scripts/test.mjs names them at its end. */
function noteUnhandled(error: object): void {
  const { message, stack, VITEST_TEST_PATH, VITEST_TEST_NAME } = error as Record<string, unknown>;
  const where = [VITEST_TEST_PATH, VITEST_TEST_NAME].filter((each) => each !== undefined);
  const test = ['outside every test', ...where].join(' > ').replace(`${root}/`, '');
  mkdirSync(`${root}/build`, { recursive: true });
  const line = JSON.stringify({ test, text: `${stack ?? message ?? ''}` });
  appendFileSync(`${root}/build/unhandled.jsonl`, `${line}\n`);
}

const ALL: readonly string[] = ['{src,test,bench,broker,examples}/**/*.test.ts'];

/**
 * Files that share a process, and its modules, with others: a process for each takes longer than
 * most of these tests. They put back what they change, and none of what they test warns once a
 * second or at the exit, or counts what is alive in the process.
 */
const SHARED: readonly string[] = [
  'src/{base,bus,channel,framer,metrics,packet,sync,testing,writer}/**/*.test.ts',
  'test/{bus,model}/**/*.test.ts',
];

/** Files that take long: `npm run test:more` runs them, and `npm test` does not. */
const LONG: readonly string[] = [
  'src/testing/linearizable.test.ts',
  'test/{chaos,soak}/**/*.test.ts',
  'test/e2e/limits.test.ts',
  'test/link/laggards.test.ts',
  'test/model/{*-mutants,linearizable.model}.test.ts',
  'test/threads/{sync,sync-allocation}.test.ts',
  'test/steady-state.test.ts',
];

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^busbar$/, replacement: `${root}/src/index.ts` },
      { find: /^busbar\/([a-z]+)$/, replacement: `${root}/src/$1/index.ts` },
    ],
  },
  test: {
    globalSetup: ['scripts/vitest-setup.mjs'],
    projects: [
      {
        extends: true,
        test: { name: 'shared', include: [...SHARED], exclude: [...LONG], isolate: false },
      },
      { extends: true, test: { name: 'alone', include: [...ALL], exclude: [...SHARED, ...LONG] } },
      { extends: true, test: { name: 'long', include: [...LONG] } },
    ],
    pool: 'forks',
    execArgv: ['--expose-gc'],
    maxWorkers: 2,
    allowOnly: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    onUnhandledError: noteUnhandled,
    // Vitest's own is a second, which a busy machine may need for one turn.
    expect: { poll: { timeout: 120_000, interval: 10 } },
  },
});

export default config;
