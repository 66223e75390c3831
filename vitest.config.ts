// SPDX-License-Identifier: MIT
/** How the tests run: on the sources, one process per file, the collector within their reach. */
import { defineConfig, type ViteUserConfig } from 'vitest/config';

const root: string = import.meta.dirname;

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^busbar$/, replacement: `${root}/src/index.ts` },
      { find: /^busbar\/([a-z]+)$/, replacement: `${root}/src/$1/index.ts` },
    ],
  },
  test: {
    globalSetup: ['scripts/vitest-setup.mjs'],
    include: ['{src,test,bench,broker,examples}/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--expose-gc'],
    maxWorkers: 2,
    allowOnly: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Vitest's own is a second, which a busy machine may need for one turn.
    expect: { poll: { timeout: 120_000, interval: 10 } },
  },
});

export default config;
