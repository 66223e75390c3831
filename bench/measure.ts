// SPDX-License-Identifier: MIT
/**
 * Times one prepared benchmark case: warms up, finds the number of operations for a run, and
 * measures the yardstick on the core before and after each run.
 *
 * A case of one thread that returns at once is timed by tinybench, and is called again and again:
 * in a program the hot loop is a handler that is called. Within a single long call the engine
 * replaces code on the stack, which it compiles with less of what it has learned (Node 24 and 26:
 * pool/try-acquire-release takes 2.5 times as long). `--no-osr` shows that such code has no part.
 */

import { Bench } from 'tinybench';
import type { BenchCase, CaseSamples, PreparedCase, Run } from './bench-case.ts';
import { warmUpYardstick, yardstickNs } from './yardstick.ts';

export interface MeasureOptions {
  /** Runs that are timed. */
  readonly runs: number;
  /**
   * What one run should last, in milliseconds: long against the clock's resolution, short against
   * a time slice.
   */
  readonly runMs: number;
  /** Warm-up before the number of operations per run is sought, in milliseconds. */
  readonly warmupMs: number;
}

/** A case as it is timed. */
interface Called extends PreparedCase {
  readonly isSync: boolean;
}

/** Operations of one call, about. */
const CALL_OPS = 500;
const OPS_MAX = 2 ** 27;
const NS_PER_MS = 1e6;
const ATTEMPTS = 4;

/** Keeps the results of runs reachable, so that the work behind them cannot be optimized away. */
let consumed = 0;

/** Measures `benchCase` in this process. */
export async function measureCase(
  benchCase: BenchCase,
  options: MeasureOptions,
): Promise<CaseSamples> {
  const prepared = await called(await benchCase.prepare(), benchCase);
  await warmUp(prepared, benchCase.unit, options.warmupMs);
  warmUpYardstick();
  const ops = await findOps(prepared, benchCase.unit, options.runMs);
  const runs: Run[] = [];
  for (let i = 0; i < options.runs; i++) runs.push(await timeRun(prepared, ops));
  await prepared.close();
  return { id: benchCase.id, ops, runs, ...noteOf(prepared), cpuMs: cpuMsSoFar() };
}

/**
 * Runs `benchCase` once with as few operations as it allows: proof that it still works, not a
 * measurement.
 */
export async function tryCase(benchCase: BenchCase): Promise<CaseSamples> {
  const prepared = await benchCase.prepare();
  const ops = benchCase.unit;
  const runs = [
    await timeRun(
      asCalled(prepared, (count) => prepared.run(count), false),
      ops,
    ),
  ];
  await prepared.close();
  return { id: benchCase.id, ops, runs, ...noteOf(prepared), cpuMs: cpuMsSoFar() };
}

/** Something read from the consumed results, to be printed or compared, never dropped. */
export function consumedResult(): number {
  return consumed;
}

function consume(result: number): void {
  consumed = (consumed + result) | 0;
}

/**
 * The case, or, if it has one thread and returns at once, with a `run` that calls the case's once
 * for every {@link CALL_OPS} operations.
 */
async function called(prepared: PreparedCase, { unit, threads }: BenchCase): Promise<Called> {
  const first = threads > 1 ? undefined : prepared.run(unit);
  if (typeof first !== 'number') {
    await first;
    return asCalled(prepared, (ops) => prepared.run(ops), false);
  }
  const callOps = Math.ceil(CALL_OPS / unit) * unit;
  const run = (ops: number): number => {
    let sum = 0;
    for (let done = 0; done < ops; done += callOps) {
      sum = (sum + (prepared.run(Math.min(callOps, ops - done)) as number)) | 0;
    }
    return sum;
  };
  return asCalled(prepared, run, true);
}

/** The case with another `run`. The case may be an object of a class: it is not copied. */
function asCalled(prepared: PreparedCase, run: PreparedCase['run'], isSync: boolean): Called {
  const { latencies } = prepared;
  return {
    run,
    ...(latencies === undefined ? {} : { latencies }),
    note: () => prepared.note?.() ?? '',
    close: () => prepared.close(),
    isSync,
  };
}

/** Runs until all threads of the case have long left slow code, in runs of rising length. */
async function warmUp(prepared: PreparedCase, unit: number, warmupMs: number): Promise<void> {
  const endMs = performance.now() + warmupMs;
  for (let ops = unit, beganMs = performance.now(); beganMs < endMs; ) {
    consume(await prepared.run(ops));
    const nowMs = performance.now();
    if (nowMs - beganMs < warmupMs / 20 && ops < OPS_MAX) ops *= 2;
    beganMs = nowMs;
  }
}

/**
 * Doubles the batch until one run lasts `runMs`. What once took that long is repeated: the fastest
 * decides, because threads of other programs may have had our cores.
 */
async function findOps(prepared: PreparedCase, unit: number, runMs: number): Promise<number> {
  for (let ops = unit; ; ops *= 2) {
    let lastedMs = Infinity;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const beganMs = performance.now();
      consume(await prepared.run(ops));
      lastedMs = Math.min(lastedMs, performance.now() - beganMs);
      if (lastedMs < runMs / 2) break;
    }
    if (lastedMs >= runMs / 2 || ops >= OPS_MAX) {
      return roundToUnit(ops * Math.min(1, runMs / lastedMs), unit);
    }
  }
}

function roundToUnit(ops: number, unit: number): number {
  return Math.max(unit, Math.round(ops / unit) * unit);
}

/** One run, the core's speed beside it, and the latencies that it counted. */
async function timeRun(prepared: Called, ops: number): Promise<Run> {
  prepared.latencies?.reset();
  const beforeNs = yardstickNs();
  const tookMs = await timeMs(prepared, ops);
  const afterNs = yardstickNs();
  const run = { nsPerOp: (tookMs * NS_PER_MS) / ops, yardstickNs: Math.max(beforeNs, afterNs) };
  const { latencies } = prepared;
  return latencies === undefined ? run : { ...run, latencies: latencies.toCounts() };
}

async function timeMs(prepared: Called, ops: number): Promise<number> {
  if (!prepared.isSync) {
    const beganMs = performance.now();
    consume(await prepared.run(ops));
    return performance.now() - beganMs;
  }
  const bench = new Bench({ iterations: 1, time: 0, warmup: false, throws: true });
  bench.add('run', () => consume(prepared.run(ops) as number));
  const [task] = bench.runSync();
  const { result } = task;
  if (!('totalTime' in result)) throw new Error(`tinybench has no time: ${result.state}`);
  return result.totalTime;
}

/** What the case found out besides its times. */
function noteOf(prepared: PreparedCase): Pick<CaseSamples, 'note'> {
  const note = prepared.note?.() ?? '';
  return note === '' ? {} : { note };
}

function cpuMsSoFar(): number {
  const usage = process.cpuUsage();
  return (usage.user + usage.system) / 1000;
}
