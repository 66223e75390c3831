// SPDX-License-Identifier: MIT
/** Soak: `npm run soak`, everything under load at once for a long time, and whether it stays so. */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readCount, runProgram, UsageError } from '../../bench/command-line.ts';
import { describeCommit, describeMachine } from '../../bench/machine.ts';
import { arbitrarySeed } from '../../src/base/random.ts';
import { PLANTS, type Plant } from './part.ts';
import { drawReport } from './soak-plot.ts';
import { describeReport, type RunHead, reportOf } from './soak-report.ts';
import { runSoak } from './soak-run.ts';
import type { LoadMinute } from './tally.ts';
import { JUDGED_MINUTES_MIN, warmUpOf } from './verdict.ts';

const USAGE = `The broker and the links under full load, all at once, in seven processes: are memory,
descriptors and free buffers flat, do latencies stay, is every message right?

  npm run soak -- --minutes N [options]

  --minutes N      how long, at least 4; the first quarter is warm-up and not judged
  --seed S         of chance; without, one is drawn
  --json FILE      write everything measured to FILE
  --svg FILE       and draw it
  --minute-ms MS   make minutes shorter than 60000 ms
  --plant KIND     keep a buffer, an array or a descriptor of the TCP server at each of the twelve
                   samples of a minute, to see it found (repeatable)
  --help           print this and stop

Ends with 0 if all is fine, with 1 if something was wrong, did not come back or is not flat, with 2
if it could not be asked for.
`;

const MINUTE_MS = 60_000;
const MS_PER_SECOND = 1000;
const SEED_MAX = 2 ** 32 - 1;

interface Settings {
  readonly minutes: number;
  readonly minuteMs: number;
  readonly seed: number;
  readonly plants: readonly Plant[];
  readonly jsonFile: string | undefined;
  readonly svgFile: string | undefined;
}

await runProgram(async () => {
  const settings = readCommandLine();
  if (settings !== undefined) await main(settings);
});

async function main(settings: Settings): Promise<void> {
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

function readCommandLine(): Settings | undefined {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'string' },
      svg: { type: 'string' },
      'minute-ms': { type: 'string', default: String(MINUTE_MS) },
      plant: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return undefined;
  }
  if (values.minutes === undefined) throw new UsageError('--minutes must say how long');
  const minutes = readCount('--minutes', values.minutes);
  if (minutes - warmUpOf(minutes) < JUDGED_MINUTES_MIN) {
    throw new UsageError(`--minutes ${minutes} leaves too few to judge after the warm-up`);
  }
  const seed = values.seed === undefined ? arbitrarySeed() : Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed > SEED_MAX) {
    throw new UsageError(`--seed must be a whole number below 2³², got ${values.seed}`);
  }
  const plants = values.plant.map((text) => {
    const plant = PLANTS.find((known) => known === text);
    if (plant !== undefined) return plant;
    throw new UsageError(`--plant must be one of ${PLANTS.join(', ')}, got ${text}`);
  });
  const minuteMs = readCount('--minute-ms', values['minute-ms']);
  return { minutes, minuteMs, seed, plants, jsonFile: values.json, svgFile: values.svg };
}
