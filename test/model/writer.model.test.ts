// SPDX-License-Identifier: MIT
/** Writers and their flusher under the model checker. BUSBAR_MODEL=long goes further. */

import { explore, formatFailure } from 'busbar/testing';
import { afterAll, expect, test } from 'vitest';
import { mortal } from './mortal.ts';
import {
  type WriterCase,
  type WriterModule,
  writerCases,
  writerDeathCases,
} from './writer-scenarios.ts';

const isLong = process.env.BUSBAR_MODEL === 'long';
const table: string[] = [];

const module: WriterModule = {
  ...(await mortal<Pick<WriterModule, 'BufferPool'>>('pool/index.ts')),
  ...(await mortal<Omit<WriterModule, 'BufferPool'>>('writer/index.ts')),
};

async function passes(item: WriterCase): Promise<void> {
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

for (const item of [...writerCases(module), ...writerDeathCases(module)]) {
  test(item.scenario.name, { timeout: isLong ? 3_600_000 : 300_000 }, () => passes(item));
}
