// SPDX-License-Identifier: MIT
/** For typedoc, which calls it first: makes the script that the site's pages load. */
import { build } from 'esbuild';
import { ROOT } from './files.mjs';

export async function load() {
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['docs/site/pool-calculator.mjs'],
    outfile: 'build/pool-calculator.js',
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    logLevel: 'warning',
  });
}
