// SPDX-License-Identifier: MIT
/**
 * Soak: `npm run soak`: everything under load at once for a long time, with a check that it stays
 * stable.
 */

import { writeFileSync } from 'node:fs';
import { runProgram } from '../../bench/command-line.ts';
import { describeCommit, describeMachine } from '../../bench/machine.ts';
import { readCommandLine, type SoakSettings, USAGE } from './soak-options.ts';
import { drawReport } from './soak-plot.ts';
import { describeReport, type RunHead, reportOf } from './soak-report.ts';
import { runSoak } from './soak-run.ts';
import type { LoadMinute } from './tally.ts';

const MS_PER_SECOND = 1000;

await runProgram(async () => {
  const settings = readCommandLine(process.argv.slice(2));
  if (settings === undefined) process.stdout.write(USAGE);
  else await main(settings);
});

async function main(settings: SoakSettings): Promise<void> {
  const { minutes, minuteMs, seed, plants, jsonFile, svgFile } = settings;
  const head: RunHead = {
    machine: describeMachine(),
    node: process.version,
    commit: describeCommit(),
    startedAt: new Date().toISOString(),
    seed,
    minutes,
    minuteMs,
  };
  const { machine, node, commit } = head;
  process.stdout.write(`${machine}\nNode ${node}, commit ${commit}, seed ${seed}\n`);
  const onMinute = (minute: number, loads: ReadonlyMap<string, LoadMinute>): void => {
    process.stdout.write(`${minute + 1}/${minutes}: ${describeMinute(loads, minuteMs)}\n`);
  };
  const record = await runSoak({ minutes, minuteMs, seed, plants, onMinute });
  const report = reportOf(head, record);
  process.stdout.write(`${describeReport(report)}\n`);
  if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(report, null, 1)}\n`);
  if (svgFile !== undefined) writeFileSync(svgFile, drawReport(report));
  if (!report.isFine) {
    process.stdout.write(`Again: npm run soak -- --minutes ${minutes} --seed ${seed}\n`);
    process.exitCode = 1;
  }
}

function describeMinute(loads: ReadonlyMap<string, LoadMinute>, minuteMs: number): string {
  return [...loads]
    .map(([load, { messages }]) => `${load} ${Math.round((messages * MS_PER_SECOND) / minuteMs)}/s`)
    .join(', ');
}
