// SPDX-License-Identifier: MIT
/**
 * Test program, `npm run chaos`: everything from socket to socket under load, while threads are
 * killed, connections end and the pool runs dry.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readCount, runProgram, UsageError } from '../../bench/command-line.ts';
import { describeCommit } from '../../bench/machine.ts';
import { arbitrarySeed } from '../../src/base/random.ts';
import { AIMS, type Aim, SABOTAGES } from './board.ts';
import { describeReport, reportOf } from './report.ts';
import { ChaosRun } from './run.ts';

const USAGE = `Kills the threads of a running pipeline, one after the other, and looks each time
whether every buffer is accounted for, the others go on, and what arrives is right.

  npm run chaos -- [options]

  --kills N        default 1000
  --seed S         what happens, and when; default: by chance, and printed
  --aims LIST      what to aim at besides: stop (threads stand still before an access to shared
                   memory, and are terminated there), throw (an access throws, the thread goes on),
                   tiny (messages that fill a buffer, rings of one or two); default: all; none
  --json FILE      writes the report there, too
  --sabotage WHAT  puts a fault in, which must be found: ${SABOTAGES.slice(1).join(', ')}
  --help           print this and stop
`;

await runProgram(async () => {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '1000' },
      seed: { type: 'string' },
      aims: { type: 'string', default: AIMS.join() },
      json: { type: 'string' },
      sabotage: { type: 'string', default: 'none' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const kills = readCount('--kills', values.kills);
  const seed = values.seed === undefined ? arbitrarySeed() : readCount('--seed', values.seed);
  const sabotage = SABOTAGES.find((name) => name === values.sabotage);
  if (sabotage === undefined) {
    throw new UsageError(`--sabotage must be one of ${SABOTAGES.join(', ')}`);
  }
  const aims = readAims(values.aims);
  await chaos(new ChaosRun(seed, sabotage, aims), kills, seed, values.json, values.aims);
});

function readAims(list: string): Aim[] {
  if (list === 'none') return [];
  return list.split(',').map((name) => {
    const aim = AIMS.find((known) => known === name);
    if (aim !== undefined) return aim;
    throw new UsageError(`--aims must be none or some of ${AIMS.join(', ')}, got ${name}`);
  });
}

async function chaos(
  run: ChaosRun,
  kills: number,
  seed: number,
  json: string | undefined,
  aims: string,
): Promise<void> {
  const startMs = performance.now();
  try {
    await run.start();
    let shown = 0;
    while (run.kills < kills) {
      await run.next(kills - run.kills);
      if (run.kills < shown + 100) continue;
      shown = run.kills;
      process.stdout.write(
        `${shown} kills, ${Math.round((performance.now() - startMs) / 1000)} s\n`,
      );
    }
    await run.end();
  } catch (error) {
    process.stderr.write(`${(error as Error).stack}\n${run.describe()}\n`);
    process.stderr.write(
      `event ${run.events}, kill ${run.kills}; replay: --seed ${seed} --aims ${aims}\n`,
    );
    process.exit(1);
  }
  const seconds = (performance.now() - startMs) / 1000;
  const report = reportOf(run.result(), { seed, seconds, commit: describeCommit() });
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, undefined, 2)}\n`);
  process.stdout.write(`${describeReport(report)}\n`);
}
