// SPDX-License-Identifier: MIT
/**
 * `npm run bench:report`: writes the tables of docs/benchmarks.md and README.md, between the marks
 * `measured:NAME`, and the drawings of docs/plots, from the runs in bench/results.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readRuns } from './documents.ts';
import { plotsOf } from './plots.ts';
import { blocksOf, withBlocks } from './tables.ts';

const DOCUMENTS = ['docs/benchmarks.md', 'README.md'];

const runs = readRuns('bench/results');
const blocks = blocksOf(runs);
const missing = new Set(blocks.keys());
for (const path of DOCUMENTS) {
  const { text, found } = withBlocks(readFileSync(path, 'utf8'), blocks);
  writeFileSync(path, text);
  for (const name of found) missing.delete(name);
}
mkdirSync('docs/plots', { recursive: true });
for (const [name, svg] of plotsOf(runs)) writeFileSync(`docs/plots/${name}.svg`, `${svg}\n`);
for (const name of missing) console.error(`No document has a mark "measured:${name}".`);
const counts = Object.entries(runs).map(([kind, list]) => `${list.length} of ${kind}`);
console.log(`Runs: ${counts.join(', ')}.`);
process.exitCode = missing.size > 0 || blocks.size === 0 ? 1 : 0;
