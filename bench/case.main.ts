// SPDX-License-Identifier: MIT
/**
 * The child process that measures one benchmark case: `node case.main.js ID RUNS RUN_MS
 * WARMUP_MS`, or `node case.main.js ID tiny`.
 */

import { caseNamed } from './case-list.ts';
import { measureCase, tryCase } from './measure.ts';

const [id = '', runs = '', runMs = '', warmupMs = ''] = process.argv.slice(2);
const benchCase = caseNamed(id);
const samples =
  runs === 'tiny'
    ? await tryCase(benchCase)
    : await measureCase(benchCase, {
        runs: Number(runs),
        runMs: Number(runMs),
        warmupMs: Number(warmupMs),
      });
process.stdout.write(`${JSON.stringify(samples)}\n`);
