// SPDX-License-Identifier: MIT
/** Channels under the model checker. BUSBAR_MODEL=long goes further. */

import { explore, formatFailure } from 'busbar/testing';
import { afterAll, expect, test } from 'vitest';
import { type ChannelCase, channelCases, channelDeathCases } from './channel-scenarios.ts';
import type { ChannelModule } from './channel-words.ts';
import { mortal } from './mortal.ts';

const isLong = process.env.BUSBAR_MODEL === 'long';
const table: string[] = [];

const module: ChannelModule = {
  ...(await mortal<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
  ...(await mortal<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
  ...(await mortal<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
};

async function passes(item: ChannelCase): Promise<void> {
  const options = isLong ? item.long : item.quick;
  const report = await explore(item.scenario, { states: isLong ? 4_000_000 : 100_000, ...options });
  const bound = options.preemptions === undefined ? 'all' : `≤ ${options.preemptions} preemptions`;
  const counts = `${report.schedules} schedules, ${report.states} states, ${report.kills} deaths`;
  const end = report.complete ? '' : ', INCOMPLETE';
  const time = `${Math.round(report.elapsedMs)} ms`;
  table.push(`${item.scenario.name.padEnd(40)}${bound.padEnd(17)}${counts}, ${time}${end}`);
  expect(formatFailure(report)).toBe('');
  // Some are too large for the test run, and say so in the table.
  expect(report.complete || isLong || options.states !== undefined).toBe(true);
}

afterAll(() => {
  console.log(table.join('\n'));
});

for (const item of [...channelCases(module), ...channelDeathCases(module)]) {
  test(item.scenario.name, { timeout: isLong ? 3_600_000 : 300_000 }, () => passes(item));
}
