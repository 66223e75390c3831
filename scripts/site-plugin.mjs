// SPDX-License-Identifier: MIT
/**
 * For typedoc, which calls it first: makes the script that the site's pages load, and calls each
 * document by its heading, not by its file.
 */
import { build } from 'esbuild';
import { Converter } from 'typedoc';
import { ROOT } from './files.mjs';

export async function load({ converter }) {
  converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const heading = /^# (.+)$/m.exec(document.content[0]?.text ?? '')?.[1];
    if (heading !== undefined) document.name = heading;
  });
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
