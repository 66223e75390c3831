// SPDX-License-Identifier: MIT
/** The buffer pool under the model checker. BUSBAR_MODEL=long goes further. */

import { explore, formatFailure } from 'busbar/testing';
import { afterAll, expect, test } from 'vitest';
import * as poolModule from '../../src/pool/index.ts';
import { mortal } from './mortal.ts';
import { deathCases } from './pool-death-scenarios.ts';
import { livingCases, type PoolCase } from './pool-scenarios.ts';
import type { PoolModule } from './pool-words.ts';

const isLong = process.env.BUSBAR_MODEL === 'long';
const table: string[] = [];

async function passes(item: PoolCase): Promise<void> {
  const options = isLong ? item.long : item.quick;
  const report = await explore(item.scenario, { states: isLong ? 4_000_000 : 100_000, ...options });
  const bound = options.preemptions === undefined ? 'all' : `≤ ${options.preemptions} preemptions`;
  const counts = `${report.schedules} schedules, ${report.states} states, ${report.kills} deaths`;
  const end = report.complete ? '' : ', INCOMPLETE';
  const time = `${Math.round(report.elapsedMs)} ms`;
  table.push(`${item.scenario.name.padEnd(36)}${bound.padEnd(17)}${counts}, ${time}${end}`);
  expect(formatFailure(report)).toBe('');
  // Some are too large for the test run, and say so in the table.
  expect(report.complete || isLong || options.states !== undefined).toBe(true);
}

afterAll(() => {
  console.log(table.join('\n'));
});

const timeout = isLong ? 3_600_000 : 300_000;

for (const item of livingCases(poolModule as unknown as PoolModule)) {
  test(item.scenario.name, { timeout }, () => passes(item));
}

for (const item of deathCases(await mortal<PoolModule>('pool/index.ts'))) {
  test(item.scenario.name, { timeout }, () => passes(item));
}
