// SPDX-License-Identifier: MIT
/**
 * `npm run bench`: measures every selected case, each in a fresh process, and reports against the
 * targets.
 */

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { BenchCase, CaseSamples } from './bench-case.ts';
import { CALIBRATION_ID } from './calibration.bench.ts';
import { benchCases } from './case-list.ts';
import { readCount, runProgram, selectByGlob } from './command-line.ts';
import {
  canPin,
  coresTakenByOthers,
  describeCommit,
  describeMachine,
  idleMsByCore,
  idlestCore,
} from './machine.ts';
import { type CaseResult, drawTable, figuresOf, listNotes } from './report.ts';

const USAGE = `Measures what busbar's parts cost. Each case runs in a process of its own.

  npm run bench -- [options]

  --only GLOB      only cases whose id matches, e.g. 'pool/*' (repeatable);
                   ${CALIBRATION_ID} is always measured, it is the unit "A"
  --json FILE      also write the figures to FILE
  --rounds N       rounds through the list in which other programs are quiet, default 3;
                   at most twice as many are tried
  --runs N         timed runs of each case in each round, default 20
  --run-ms N       how long one run should last, default 20
  --no-pin         leave it to the system on which core a case runs
  --tiny           run everything once with tiny counts: shows that it works, measures nothing
  --list           print the ids and stop
  --help           print this and stop
`;

/**
 * The calibration is measured again after this many cases: the machine's speed changes while a run
 * lasts.
 */
const CASES_PER_CALIBRATION = 6;
const WARMUP_MS = 300;
/**
 * A round is disturbed when other programs keep more than this many cores busy: cores may share
 * their units.
 */
const CORES_TAKEN_MAX = 0.15;
const ROUNDS_TRIED_PER_ROUND = 2;
/** Benchmark programs of their own, which run tiny together with the cases. */
const OTHER_PROGRAMS: readonly string[] = ['./broker/compare.main.js', './scaling/scaling.main.js'];
const CASE_PROGRAM = fileURLToPath(new URL('./case.main.js', import.meta.url));

interface Settings {
  readonly only: readonly string[];
  readonly jsonFile: string | undefined;
  readonly rounds: number;
  readonly runs: number;
  readonly runMs: number;
  readonly pin: boolean;
  readonly tiny: boolean;
}

/** What the rounds so far have given for one case. */
interface Collected {
  /** Samples of rounds in which the machine was ours. */
  readonly quiet: CaseSamples[];
  /** Samples of rounds in which other programs were busy. */
  readonly disturbed: CaseSamples[];
}

await runProgram(async () => {
  const settings = readCommandLine();
  if (settings !== undefined) await main(settings);
});

async function main(settings: Settings): Promise<void> {
  const selected = select(settings.only);
  const pin = settings.pin && !settings.tiny && canPin();
  const machine = describeMachine();
  const commit = describeCommit();
  process.stdout.write(`${machine}\nNode ${process.version}, commit ${commit}\n`);
  process.stdout.write(
    pin
      ? 'cases with one thread are pinned (taskset) to the core that is idlest when they start\n'
      : 'not pinned to cores\n',
  );
  const collected = await measureAll(selected, settings, pin);
  if (settings.tiny) {
    process.stdout.write(`${collected.size} cases work\n`);
    if (settings.only.length === 0) await tryOtherPrograms();
    return;
  }
  const results = [...collected].map(([id, rounds]) => resultOf(id, rounds));
  const yardstick = collected.get(CALIBRATION_ID)?.disturbed ?? [];
  const figures = figuresOf(
    results,
    yardstick.flatMap(({ nsPerOp }) => nsPerOp),
  );
  process.stdout.write(`${drawTable(figures, process.stdout.isTTY === true)}\n`);
  process.stdout.write(listNotes(figures));
  if (figures.some((row) => row.disturbed)) {
    process.stdout.write('~ other programs were busy in every round: take with care\n');
  }
  if (settings.jsonFile !== undefined) {
    const document = { machine, node: process.version, commit, pinned: pin, results: figures };
    writeFileSync(settings.jsonFile, `${JSON.stringify(document, null, 2)}\n`);
  }
}

/**
 * Goes through the list once a round, so that a bad minute of the machine touches every case a
 * little.
 */
async function measureAll(
  selected: readonly BenchCase[],
  settings: Settings,
  pin: boolean,
): Promise<Map<string, Collected>> {
  const collected = new Map<string, Collected>();
  for (const { id } of selected) collected.set(id, { quiet: [], disturbed: [] });
  const measure = async (benchCase: BenchCase): Promise<void> => {
    const rounds = collected.get(benchCase.id);
    if (rounds === undefined) return;
    const { samples, isQuiet } = await measureInChild(benchCase, settings, pin);
    (isQuiet ? rounds.quiet : rounds.disturbed).push(samples);
  };
  const isDone = ({ id }: BenchCase): boolean =>
    (collected.get(id)?.quiet.length ?? 0) >= settings.rounds;
  if (settings.tiny) {
    await tryAll(selected, measure);
    return collected;
  }
  const roundsMax = settings.rounds * ROUNDS_TRIED_PER_ROUND;
  for (let round = 1; round <= roundsMax; round++) {
    const missing = selected.filter((benchCase) => !isDone(benchCase));
    for (const [index, benchCase] of missing.entries()) {
      showProgress(`round ${round} of ${settings.rounds} to ${roundsMax}  ${benchCase.id}`);
      if (index % CASES_PER_CALIBRATION === 0) await measure(selected[0]);
      if (benchCase.id !== CALIBRATION_ID) await measure(benchCase);
    }
  }
  showProgress('');
  return collected;
}

/** Nothing is measured here, so that as many cases as there are cores may run at once. */
async function tryAll(
  selected: readonly BenchCase[],
  measure: (benchCase: BenchCase) => Promise<void>,
): Promise<void> {
  const waiting = selected.values();
  const lanes = Array.from({ length: availableParallelism() }, async () => {
    for (const benchCase of waiting) await measure(benchCase);
  });
  await Promise.all(lanes);
}

function resultOf(id: string, { quiet, disturbed }: Collected): CaseResult {
  const isDisturbed = quiet.length === 0;
  const rounds = isDisturbed ? disturbed : quiet;
  const note = rounds.find((round) => round.note !== undefined)?.note;
  return {
    id,
    nsPerOp: rounds.flatMap(({ nsPerOp }) => nsPerOp),
    latencies: rounds.flatMap(({ latencies }) => latencies ?? []),
    ...(note === undefined ? {} : { note }),
    disturbed: isDisturbed,
  };
}

async function measureInChild(
  benchCase: BenchCase,
  settings: Settings,
  pin: boolean,
): Promise<{ samples: CaseSamples; isQuiet: boolean }> {
  const counts = settings.tiny ? ['tiny'] : [settings.runs, settings.runMs, WARMUP_MS].map(String);
  const command = [process.execPath, CASE_PROGRAM, benchCase.id, ...counts];
  if (pin && benchCase.threads === 1) command.unshift('taskset', '-c', String(await pickCore()));
  const idleBefore = idleMsByCore();
  const beganMs = performance.now();
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code !== 0) throw new Error(`${benchCase.id}: the child process ended with code ${code}`);
  const samples = JSON.parse(output) as CaseSamples;
  const wallMs = performance.now() - beganMs;
  const taken = coresTakenByOthers(idleBefore, idleMsByCore(), wallMs, samples.cpuMs);
  return { samples, isQuiet: taken <= CORES_TAKEN_MAX };
}

/** The other benchmark programs, too, run tiny, so that they cannot rot either. */
async function tryOtherPrograms(): Promise<void> {
  for (const name of OTHER_PROGRAMS) {
    const program = fileURLToPath(new URL(name, import.meta.url));
    const child = spawn(process.execPath, [program, '--tiny'], { stdio: 'inherit' });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve);
    });
    if (code !== 0) throw new Error(`${name} ended with code ${code}`);
  }
}

/** Watches all cores for a moment. */
async function pickCore(): Promise<number> {
  const before = idleMsByCore();
  await new Promise((resolve) => setTimeout(resolve, 100));
  return idlestCore(before, idleMsByCore());
}

/** The cases to measure, the calibration first. */
function select(globs: readonly string[]): BenchCase[] {
  const selected = new Set(selectByGlob(benchCases, globs));
  return benchCases.filter(
    (benchCase) => benchCase.id === CALIBRATION_ID || selected.has(benchCase),
  );
}

function showProgress(text: string): void {
  if (process.stderr.isTTY === true) process.stderr.write(`\r\u001b[2K${text}`);
}

function readCommandLine(): Settings | undefined {
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      runs: { type: 'string', default: '20' },
      'run-ms': { type: 'string', default: '20' },
      pin: { type: 'boolean', default: true },
      tiny: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return undefined;
  }
  if (values.list) {
    process.stdout.write(`${benchCases.map(({ id }) => id).join('\n')}\n`);
    return undefined;
  }
  return {
    only: values.only,
    jsonFile: values.json,
    rounds: readCount('--rounds', values.rounds),
    runs: readCount('--runs', values.runs),
    runMs: readCount('--run-ms', values['run-ms']),
    pin: values.pin,
    tiny: values.tiny,
  };
}
