// SPDX-License-Identifier: MIT
/**
 * `npm run bench:scaling`: the throughput of a group of executors by number of cores, with
 * independent and with mutual traffic, pinned and not.
 */

import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ExecutorGroup } from 'busbar/executor';
import { topology } from 'busbar/native';
import { BufferPool } from 'busbar/pool';
import { readCount, runProgram, UsageError } from '../command-line.ts';
import { coresTakenByOthers, describeCommit, describeMachine, idleMsByCore } from '../machine.ts';
import { MESSAGE_BYTES } from '../threads/message.ts';
import {
  type Pinning,
  type Round,
  rowsOf,
  type ScalingDocument,
  type Setting,
  scalingTable,
} from './scaling-report.ts';
import {
  createProgress,
  handledBetween,
  readProgress,
  type ScalingData,
  TRAFFICS,
} from './scaling-work.ts';

const USAGE = `Measures how the throughput of executors grows with the cores they have.

  npm run bench:scaling -- [options]

  --cores LIST     how many executors, e.g. 1,2,4,8,16; default: the powers of two that this
                   machine has cores for, and all of them
  --seconds N      how long each is measured in each round, default 2
  --rounds N       default 3
  --json FILE      also write the figures to FILE
  --tiny           run everything once and briefly: shows that it works, measures and writes nothing
  --help           print this and stop
`;

const MODULE = new URL('./scaling.worker.js', import.meta.url);
const PINNINGS: readonly Pinning[] = ['cores', 'none'];
const WARMUP_MS = 500;
const TINY_MS = 20;
const LANE_CAPACITY = 256;
/** What an executor's caches and lanes may hold without another one going short. */
const BUFFERS_PER_EXECUTOR = 4096;

interface Settings {
  readonly cores: readonly number[];
  readonly seconds: number;
  readonly rounds: number;
  readonly jsonFile: string | undefined;
  readonly tiny: boolean;
}

await runProgram(async () => {
  const settings = readCommandLine();
  if (settings !== undefined) await main(settings);
});

async function main(settings: Settings): Promise<void> {
  const measured = new Map<Setting, Round[]>();
  for (const traffic of TRAFFICS) {
    for (const pinning of PINNINGS) {
      for (const executors of settings.cores) measured.set({ traffic, pinning, executors }, []);
    }
  }
  for (let round = 1; round <= settings.rounds; round++) {
    for (const [setting, rounds] of measured) {
      showProgress(`round ${round} of ${settings.rounds}  ${Object.values(setting).join(' ')}`);
      rounds.push(await measure(setting, settings));
    }
  }
  showProgress('');
  if (settings.tiny) {
    process.stdout.write(`${measured.size} scaling settings work\n`);
    return;
  }
  const document: ScalingDocument = {
    machine: describeMachine(),
    node: process.version,
    commit: describeCommit(),
    secondsPerRound: settings.seconds,
    rounds: settings.rounds,
    rows: rowsOf(measured),
  };
  process.stdout.write(`${document.machine}\nNode ${process.version}, commit ${document.commit}\n`);
  process.stdout.write(`${scalingTable(document)}\n`);
  if (settings.jsonFile !== undefined) {
    writeFileSync(settings.jsonFile, `${JSON.stringify(document, null, 2)}\n`);
  }
}

async function measure(setting: Setting, { seconds, tiny }: Settings): Promise<Round> {
  const { executors, pinning, traffic } = setting;
  const pool = BufferPool.create({
    bufferSize: MESSAGE_BYTES,
    bufferCount: executors * BUFFERS_PER_EXECUTOR,
    maxThreads: executors + 2,
  });
  const data: ScalingData = { traffic, progress: createProgress(executors) };
  const group = await ExecutorGroup.start({
    pool,
    module: MODULE,
    count: executors,
    pin: pinning,
    laneCapacity: LANE_CAPACITY,
    data,
  });
  const crashed = group.closed.then(() => Promise.reject(new Error('the group has ended')));
  await Promise.race([sleep(tiny ? TINY_MS : WARMUP_MS), crashed]);
  const watching = () => Promise.race([watch(data, tiny ? TINY_MS : seconds * 1000), crashed]);
  let round = await watching();
  // On a busy machine executors may get no turn so soon.
  while (tiny && round.messagesPerSecond === 0) round = await watching();
  const { messagesPerSecond, coresTaken } = round;
  const reasons = pinning === 'cores' ? group.stats().map(({ unpinned }) => unpinned) : [];
  crashed.catch(() => {});
  await group.stop({ mode: 'drain' });
  pool.detach();
  if (messagesPerSecond === 0) throw new Error('the executors did nothing');
  const unpinned = reasons.find((reason) => reason !== '') ?? '';
  return { messagesPerSecond, coresTaken, unpinned };
}

/** Sleeps, and returns what the executors have done meanwhile. */
async function watch(
  { progress }: ScalingData,
  durationMs: number,
): Promise<Pick<Round, 'messagesPerSecond' | 'coresTaken'>> {
  const idleBefore = idleMsByCore();
  const cpuBefore = process.cpuUsage();
  const before = readProgress(progress);
  const beganMs = performance.now();
  await sleep(durationMs);
  const after = readProgress(progress);
  const wallMs = performance.now() - beganMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  const ownMs = (user + system) / 1000;
  return {
    messagesPerSecond: (handledBetween(before, after) * 1000) / wallMs,
    coresTaken: Math.max(0, coresTakenByOthers(idleBefore, idleMsByCore(), wallMs, ownMs)),
  };
}

function readCommandLine(): Settings | undefined {
  const { values } = parseArgs({
    options: {
      cores: { type: 'string' },
      seconds: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
      json: { type: 'string' },
      tiny: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return undefined;
  }
  return {
    cores: values.tiny ? [1, 2] : readCores(values.cores),
    seconds: readCount('--seconds', values.seconds),
    rounds: values.tiny ? 1 : readCount('--rounds', values.rounds),
    jsonFile: values.json,
    tiny: values.tiny,
  };
}

/** More executors than cores would measure the system's scheduler. */
function readCores(list: string | undefined): number[] {
  const { usableCount } = topology();
  if (list === undefined) {
    const powers = Array.from({ length: 9 }, (_, power) => 2 ** power);
    return [...powers.filter((count) => count < usableCount), usableCount];
  }
  const counts = list.split(',').map((text) => readCount('--cores', text));
  const usable = counts.filter((count) => count <= usableCount);
  if (usable.length === 0) throw new UsageError(`there are only ${usableCount} cores here`);
  const left = counts.filter((count) => count > usableCount);
  if (left.length > 0) {
    process.stderr.write(`left out, there are ${usableCount} cores: ${left.join(', ')}\n`);
  }
  return usable.toSorted((first, second) => first - second);
}

function showProgress(text: string): void {
  if (process.stderr.isTTY === true) process.stderr.write(`\r\u001b[2K${text}`);
}
