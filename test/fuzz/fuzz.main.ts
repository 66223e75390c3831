// SPDX-License-Identifier: MIT
/**
 * The fuzzer's program: `npm run fuzz -- --help`.
 *
 * Each target gets its share of the time, in turns, with seeds that count up from S. At the end it
 * prints executions and times, also as JSON with `--json file`. The first failure ends the run and
 * prints how to replay it: `--executions N` runs a number of seeds instead of a time, `--hex bytes`
 * one input of a target that takes bytes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { arbitrarySeed } from '../../src/base/random.ts';
import { type FuzzTarget, runSeeds } from './target.ts';
import { TARGETS } from './targets.ts';

/** Seconds that a target has before it is another's turn. */
const TURN_SECONDS = 5;

const USAGE = `Runs the fuzzer's targets in turn, until something fails or the time is over.

  npm run fuzz -- [options]

  --seconds N      for all targets together; default 60
  --seed S         the first seed of each target; they count up from there. Default: by chance
  --fresh          draws another seed every ${TURN_SECONDS} seconds of each target, and prints it
  --only LIST      these targets: ${TARGETS.map(({ name }) => name).join(', ')}
  --executions N   so many of each target instead of so long
  --hex BYTES      one input of a target that takes bytes
  --json FILE      writes what was done there, too, with the sums of all runs that wrote there
  --help           print this and stop

A failure says how to run the one execution that failed.
`;

interface Tally {
  readonly target: FuzzTarget;
  executions: number;
  seconds: number;
  seed: number;
  /** Executions before the clock is looked at. */
  batch: number;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    only: { type: 'string' },
    executions: { type: 'string' },
    hex: { type: 'string' },
    json: { type: 'string' },
    fresh: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
if (values.fresh && (values.seed ?? values.executions ?? values.hex) !== undefined) {
  refuse('--fresh draws its seeds: it goes with --seconds only');
}
const seed = number('seed', values.seed ?? String(arbitrarySeed()), 0);
const seconds = number('seconds', values.seconds, 1);
const names = values.only?.split(',') ?? TARGETS.map(({ name }) => name);
const chosen = names.map((name) => {
  const target = TARGETS.find((each) => each.name === name);
  if (target !== undefined) return target;
  return refuse(`no target ${name}; there are ${TARGETS.map((each) => each.name).join(', ')}`);
});

let running: Tally | undefined;
process.on('exit', (code) => {
  if (code !== 13 || running === undefined) return;
  const { target, seed: at, batch } = running;
  console.error(`${target.name}: a promise never settled, seed ${at} to ${at + batch - 1}`);
});

const tallies = chosen.map(
  (target): Tally => ({ target, executions: 0, seconds: 0, seed, batch: 1 }),
);
try {
  if (values.hex !== undefined) await runInput(chosen, values.hex);
  else await runAll();
} catch (error) {
  console.error((error as Error).message, (error as Error).cause ?? '');
  process.exitCode = 1;
}
for (const { target } of tallies) await target.end?.();

async function runAll(): Promise<void> {
  if (!values.fresh) console.log(`seed ${seed}`);
  if (values.executions !== undefined) {
    const count = number('executions', values.executions, 1);
    for (const tally of tallies) await runBatch(tally, count);
  } else {
    const share = seconds / tallies.length;
    while (tallies.some((tally) => tally.seconds < share)) {
      if (values.fresh) drawSeeds();
      for (const tally of tallies) await runTurn(tally, Math.min(TURN_SECONDS, share), share);
    }
  }
  report();
}

/** From here on all targets run arbitrary seeds. */
function drawSeeds(): void {
  const drawn = arbitrarySeed();
  console.log(
    `seed ${drawn}: npm run fuzz -- --seconds ${TURN_SECONDS * tallies.length} --seed ${drawn}`,
  );
  for (const tally of tallies) tally.seed = drawn;
}

async function runTurn(tally: Tally, turnSeconds: number, share: number): Promise<void> {
  const until = Math.min(tally.seconds + turnSeconds, share);
  while (tally.seconds < until) {
    const before = tally.seconds;
    await runBatch(tally, tally.batch);
    await releaseMemory();
    if (tally.seconds - before < 0.05) tally.batch *= 2;
  }
}

/**
 * Frees the shared memory of pools that are gone. A thread that leaves a pool is told so in a later
 * turn of the event loop, and until then the memory is in use; and engines hardly count shared
 * memory as a reason to collect garbage.
 */
async function releaseMemory(): Promise<void> {
  await setImmediate();
  globalThis.gc?.();
}

async function runBatch(tally: Tally, count: number): Promise<void> {
  running = tally;
  const startMs = performance.now();
  await runSeeds(tally.target, tally.seed, count);
  tally.seconds += (performance.now() - startMs) / 1000;
  tally.seed += count;
  tally.executions += count;
  running = undefined;
}

async function runInput(targets: readonly FuzzTarget[], hex: string): Promise<void> {
  for (const target of targets) {
    if (!('check' in target)) refuse(`${target.name} takes no bytes`);
    await target.check(new Uint8Array(Buffer.from(hex, 'hex')));
    console.log(`${target.name}: nothing is wrong with it`);
  }
}

function report(): void {
  const rows = tallies.map(({ target, executions, seconds: spent }) => ({
    target: target.name,
    execution: target.execution,
    executions,
    seconds: Math.round(spent * 10) / 10,
    perSecond: Math.round(executions / spent),
  }));
  for (const row of rows) {
    const figures = `${row.executions} in ${row.seconds} s, ${row.perSecond} /s`;
    console.log(`${row.target.padEnd(16)} ${figures.padEnd(40)} (${row.execution})`);
  }
  const executions = rows.reduce((sum, row) => sum + row.executions, 0);
  console.log(`${executions} executions`);
  if (values.json !== undefined) {
    const total = sumsWith(values.json, rows);
    const found = { seed: values.fresh ? 'fresh' : seed, executions, targets: rows, total };
    writeFileSync(values.json, `${JSON.stringify(found, null, 2)}\n`);
  }
}

/** Executions by target, of this run and of all that wrote to the file before. */
function sumsWith(path: string, rows: readonly { target: string; executions: number }[]): object {
  let before: Record<string, number> = {};
  try {
    before = JSON.parse(readFileSync(path, 'utf8')).total ?? {};
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  for (const { target, executions } of rows) before[target] = (before[target] ?? 0) + executions;
  return before;
}

function number(name: string, text: string, min: number): number {
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= min
    ? value
    : refuse(`--${name} must be an integer from ${min} on, got ${text}`);
}

function refuse(reason: string): never {
  console.error(reason);
  process.exit(2);
}
