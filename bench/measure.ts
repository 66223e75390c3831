// SPDX-License-Identifier: MIT
/**
 * Times one prepared benchmark case: finds a batch size, warms up, and takes the samples with
 * tinybench.
 */

import { Bench } from 'tinybench';
import type { BenchCase, CaseSamples, PreparedCase } from './bench-case.ts';

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
  const ops = await findOps(prepared, benchCase.unit, options.runMs);
  const bench = new Bench({
    iterations: options.runs,
    time: 0,
    warmupIterations: 3,
    warmupTime: 0,
    retainSamples: true,
    throws: true,
    setup: (_task, mode) => {
      if (mode === 'run') prepared.latencies?.reset();
    },
  });
  const first = prepared.run(benchCase.unit);
  if (first instanceof Promise) {
    consume(await first);
    const run = async (): Promise<void> => consume(await prepared.run(ops));
    bench.add(benchCase.id, run, { async: true });
    await bench.run();
  } else {
    consume(first);
    const run = (): void => consume(prepared.run(ops) as number);
    bench.add(benchCase.id, run, { async: false });
    bench.runSync();
  }
  await prepared.close();
  const nsPerOp = samplesOf(bench, benchCase.id).map((ms) => (ms * NS_PER_MS) / ops);
  return { id: benchCase.id, ops, nsPerOp, ...findingsOf(prepared), cpuMs: cpuMsSoFar() };
}

/**
 * Runs `benchCase` once with as few operations as it allows: proof that it still works, not a
 * measurement.
 */
export async function tryCase(benchCase: BenchCase): Promise<CaseSamples> {
  const prepared = await benchCase.prepare();
  const beganMs = performance.now();
  consume(await prepared.run(benchCase.unit));
  const ns = ((performance.now() - beganMs) * NS_PER_MS) / benchCase.unit;
  await prepared.close();
  const ops = benchCase.unit;
  return { id: benchCase.id, ops, nsPerOp: [ns], ...findingsOf(prepared), cpuMs: cpuMsSoFar() };
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

/** What the case found out besides its time. */
function findingsOf(prepared: PreparedCase): Pick<CaseSamples, 'latencies' | 'note'> {
  const { latencies } = prepared;
  const note = prepared.note?.() ?? '';
  return {
    ...(latencies === undefined ? {} : { latencies: latencies.toCounts() }),
    ...(note === '' ? {} : { note }),
  };
}

function samplesOf(bench: Bench, id: string): readonly number[] {
  const task = bench.getTask(id);
  const result = task?.result;
  if (result === undefined || result.state !== 'completed') {
    throw new Error(`${id}: the measurement ended in state ${result?.state ?? 'missing'}`);
  }
  const samples = result.latency.samples;
  if (samples === undefined) throw new Error(`${id}: tinybench kept no samples`);
  return samples;
}

function cpuMsSoFar(): number {
  const usage = process.cpuUsage();
  return (usage.user + usage.system) / 1000;
}
