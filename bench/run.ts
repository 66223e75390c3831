// SPDX-License-Identifier: MIT
/**
 * `npm run bench`: measures every selected case, each in its own process, and reports against the
 * targets.
 */

import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { BenchCase, CaseSamples } from './bench-case.ts';
import { CALIBRATION_ID } from './calibration.bench.ts';
import { benchCases } from './case-list.ts';
import { readCount, runProgram, selectByGlob, UsageError } from './command-line.ts';
import { compareFigures, drawComparison } from './compare.ts';
import { type Engine, engineOf } from './engine.ts';
import {
  canPin,
  coresTakenByOthers,
  describeCommit,
  describeMachine,
  idleMsByCore,
  idlestCore,
} from './machine.ts';
import { type CaseFigures, type CaseResult, drawTable, figuresOf, listNotes } from './report.ts';
import { bestYardstickNs, chooseRuns, type Round, undisturbedRuns } from './undisturbed.ts';

const USAGE = `Measures what busbar's parts cost. Each case runs in a process of its own.

  npm run bench -- [options]

  --only GLOB      only cases whose id matches, e.g. 'pool/*' (repeatable);
                   ${CALIBRATION_ID} is always measured, it is the unit "A"
  --json FILE      also write the figures to FILE
  --compare FILE   also print each case beside its figures in FILE, written by --json before;
                   'no difference' where the quartiles overlap or the ratio is below 1.03
  --engine NAME    what runs the cases: node22, node24, node26, bun or deno (installed by
                   'node scripts/install-engines.mjs'), or the path of an executable; on bun
                   and deno, cases that do not run there are left out
  --no-osr         without code that V8 replaces on the stack while a loop runs (--no-use-osr):
                   with --compare it shows whether such code has been measured
  --rounds N       rounds through the list, default 3; cases that were disturbed by other
                   programs or machines are tried again, in at most four times as many
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
const ROUNDS_TRIED_PER_ROUND = 4;
/** A case that hangs is an error on Node. */
const CASE_MS_MAX = 600_000;
/** On other engines it is left out. */
const ELSEWHERE_MS_MAX = 60_000;
/** Benchmark programs of their own, which run tiny together with the cases. */
const OTHER_PROGRAMS: readonly string[] = ['./broker/compare.main.js', './scaling/scaling.main.js'];
const CASE_PROGRAM = fileURLToPath(new URL('./case.main.js', import.meta.url));

interface Settings {
  readonly only: readonly string[];
  readonly jsonFile: string | undefined;
  readonly compareFile: string | undefined;
  readonly engine: Engine;
  readonly osr: boolean;
  readonly rounds: number;
  readonly runs: number;
  readonly runMs: number;
  readonly pin: boolean;
  readonly tiny: boolean;
}

/** What the rounds so far have given. */
type Collected = Map<BenchCase, Round[]>;
/** Cases that do not run, with the reason. */
type Failures = Map<BenchCase, string>;

await runProgram(async () => {
  const settings = readCommandLine();
  if (settings !== undefined) await main(settings);
});

async function main(settings: Settings): Promise<void> {
  const selected = select(settings.only);
  const pin = settings.pin && !settings.tiny && canPin();
  const machine = describeMachine();
  const commit = describeCommit();
  const engine = settings.engine.version + (settings.osr ? '' : ' --no-use-osr');
  const before = settings.compareFile === undefined ? [] : readFigures(settings.compareFile);
  process.stdout.write(`${machine}\n${engine}, commit ${commit}\n`);
  process.stdout.write(
    pin
      ? 'cases with one thread are pinned (taskset) to the core that is idlest when they start\n'
      : 'not pinned to cores\n',
  );
  const failures: Failures = new Map();
  const collected = await measureAll(selected, settings, pin, failures);
  if (settings.tiny) {
    process.stdout.write(`${collected.size} cases work\n`);
    reportFailures(failures, settings.engine);
    if (settings.only.length === 0) await tryOtherPrograms();
    return;
  }
  const results = [...collected.keys()].map((benchCase) => resultOf(benchCase, collected));
  const figures = figuresOf(results, disturbedCalibrationNs(collected, selected[0]));
  process.stdout.write(`${drawTable(figures, process.stdout.isTTY === true)}\n`);
  process.stdout.write(listNotes(figures));
  if (figures.some((row) => row.disturbed)) {
    process.stdout.write('~ disturbed by other programs or machines: take with care\n');
  }
  if (settings.compareFile !== undefined) {
    const isColored = process.stdout.isTTY === true;
    process.stdout.write(`${drawComparison(compareFigures(before, figures), isColored)}\n`);
  }
  if (settings.jsonFile !== undefined) {
    const document = { machine, engine, commit, pinned: pin, results: figures };
    writeFileSync(settings.jsonFile, `${JSON.stringify(document, null, 2)}\n`);
  }
  reportFailures(failures, settings.engine);
}

/** On Node each case has to run: the others are measured, and the program fails. */
function reportFailures(failures: Failures, { isNode }: Engine): void {
  if (failures.size === 0) return;
  const ids = [...failures.keys()].map(({ id }) => id);
  if (!isNode) process.stdout.write(`left out: ${ids.join(', ')}\n`);
  else throw new Error(`failed:\n${[...failures.values()].join('\n')}`);
}

function readFigures(file: string): CaseFigures[] {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { results: CaseFigures[] }).results;
  } catch (error) {
    throw new UsageError(`--compare ${file}: ${(error as Error).message}`);
  }
}

/**
 * Goes through the list once a round, so that a bad minute of the machine touches every case a
 * little. A case that does not run has no rounds.
 */
async function measureAll(
  selected: readonly BenchCase[],
  settings: Settings,
  pin: boolean,
  failures: Failures,
): Promise<Collected> {
  const collected: Collected = new Map(selected.map((benchCase) => [benchCase, []]));
  const measure = async (benchCase: BenchCase): Promise<void> => {
    try {
      collected.get(benchCase)?.push(await measureInChild(benchCase, settings, pin));
    } catch (error) {
      if (benchCase.id === CALIBRATION_ID) throw error;
      failures.set(benchCase, (error as Error).message);
      collected.delete(benchCase);
    }
  };
  if (settings.tiny) {
    await tryAll(selected, measure);
    return collected;
  }
  const roundsMax = settings.rounds * ROUNDS_TRIED_PER_ROUND;
  for (let round = 1; round <= roundsMax; round++) {
    const present = [...collected.keys()];
    const missing = present.filter((benchCase) => !isDone(benchCase, collected, settings));
    for (const [index, benchCase] of missing.entries()) {
      showProgress(`round ${round} of ${settings.rounds} to ${roundsMax}  ${benchCase.id}`);
      if (index % CASES_PER_CALIBRATION === 0) await measure(selected[0]);
      if (benchCase.id !== CALIBRATION_ID) await measure(benchCase);
    }
  }
  showProgress('');
  return collected;
}

function isDone(benchCase: BenchCase, collected: Collected, settings: Settings): boolean {
  const rounds = roundsOf(benchCase, collected);
  if (rounds.length < settings.rounds) return false;
  return undisturbedRuns(rounds, bestFor(benchCase, collected)).length >= settings.runs;
}

/**
 * The yardstick at its best: of all cases with one thread. Where a case keeps several cores busy
 * itself, its own: cores may share their units.
 */
function bestFor(benchCase: BenchCase, collected: Collected): number {
  if (benchCase.threads > 1) return bestYardstickNs(roundsOf(benchCase, collected));
  const single = [...collected].filter(([{ threads }]) => threads === 1);
  return bestYardstickNs(single.flatMap(([, rounds]) => rounds));
}

function roundsOf(benchCase: BenchCase, collected: Collected): readonly Round[] {
  return collected.get(benchCase) ?? [];
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

function resultOf(benchCase: BenchCase, collected: Collected): CaseResult {
  const rounds = roundsOf(benchCase, collected);
  const { runs, disturbed } = chooseRuns(rounds, bestFor(benchCase, collected));
  const note = rounds.find(({ samples }) => samples.note !== undefined)?.samples.note;
  return {
    id: benchCase.id,
    nsPerOp: runs.map(({ nsPerOp }) => nsPerOp),
    latencies: runs.flatMap(({ latencies }) => latencies ?? []),
    ...(note === undefined ? {} : { note }),
    disturbed,
  };
}

/** The calibration's runs that are not reported, because something slowed them down. */
function disturbedCalibrationNs(collected: Collected, calibration: BenchCase): readonly number[] {
  const rounds = roundsOf(calibration, collected);
  const undisturbed = new Set(undisturbedRuns(rounds, bestFor(calibration, collected)));
  const all = rounds.flatMap(({ samples }) => samples.runs);
  return all.filter((run) => !undisturbed.has(run)).map(({ nsPerOp }) => nsPerOp);
}

async function measureInChild(
  benchCase: BenchCase,
  settings: Settings,
  pin: boolean,
): Promise<Round> {
  const counts = settings.tiny ? ['tiny'] : [settings.runs, settings.runMs, WARMUP_MS].map(String);
  const flags = settings.osr ? [] : ['--no-use-osr'];
  const command = [...settings.engine.command, ...flags, CASE_PROGRAM, benchCase.id, ...counts];
  if (pin && benchCase.threads === 1) command.unshift('taskset', '-c', String(await pickCore()));
  const idleBefore = idleMsByCore();
  const beganMs = performance.now();
  const child = spawn(command[0], command.slice(1), {
    stdio: ['ignore', 'pipe', settings.engine.isNode ? 'inherit' : 'ignore'],
    timeout: settings.engine.isNode ? CASE_MS_MAX : ELSEWHERE_MS_MAX,
    killSignal: 'SIGKILL',
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once('error', reject).once('close', (...end) => resolve(end));
  });
  if (code !== 0) {
    throw new Error(`${benchCase.id}: the child process ended with ${code ?? signal}`);
  }
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
      compare: { type: 'string' },
      engine: { type: 'string', default: process.execPath },
      osr: { type: 'boolean', default: true },
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
    compareFile: values.compare,
    engine: engineOf(values.engine),
    osr: values.osr,
    rounds: readCount('--rounds', values.rounds),
    runs: readCount('--runs', values.runs),
    runMs: readCount('--run-ms', values['run-ms']),
    pin: values.pin,
    tiny: values.tiny,
  };
}
