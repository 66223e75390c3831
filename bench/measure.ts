// SPDX-License-Identifier: MIT
/**
 * Times one prepared benchmark case: warms up, finds the number of operations for a run, and
 * measures the yardstick on the core before and after each run.
 */

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
  const prepared = await benchCase.prepare();
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
  const runs = [await timeRun(prepared, ops)];
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
async function timeRun(prepared: PreparedCase, ops: number): Promise<Run> {
  prepared.latencies?.reset();
  const beforeNs = yardstickNs();
  const beganMs = performance.now();
  const result = prepared.run(ops);
  consume(typeof result === 'number' ? result : await result);
  const tookMs = performance.now() - beganMs;
  const afterNs = yardstickNs();
  const run = { nsPerOp: (tookMs * NS_PER_MS) / ops, yardstickNs: Math.max(beforeNs, afterNs) };
  const { latencies } = prepared;
  return latencies === undefined ? run : { ...run, latencies: latencies.toCounts() };
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
