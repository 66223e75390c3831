// SPDX-License-Identifier: MIT
/**
 * Model checker: the three ways to run a scenario: every schedule, schedules by chance, one known
 * schedule.
 */

import { checkOneOf, checkOptions } from '../base/check.ts';
import { resolveOptions } from './model-options.ts';
import { type LeftOut, OMISSIONS } from './omissions.ts';
import { formatFailure } from './report.ts';
import { Run } from './run.ts';
import type { ModelOptions, ModelReport, SampleOptions, Scenario } from './scenario.ts';

/**
 * Runs every interleaving of a scenario within the bounds.
 *
 * Without a bound on `preemptions`, a scenario that is not small is run with 0, 1, 2 and 3 first,
 * since most bugs need few. It stops at the first failure, which it then shows with as few
 * preemptions as it finds. A failure is an answer, not an error: see {@link expectPassed}. The
 * report is complete if nothing was left out; else its `leftOut` says what.
 *
 * **Threads** one exploration at a time in a process, and nothing else of weight beside it: while
 * it runs, `Atomics`, the shared views, the clock and the timers are replaced on `globalThis`. It
 * lets the real event loop turn every 500 schedules.
 * **Throws** (rejects) TypeError and RangeError that name the argument; what `setup` throws.
 */
export async function explore<Shared>(
  scenario: Scenario<Shared>,
  options: ModelOptions = {},
): Promise<ModelReport> {
  const run = new Run(scenario, options, resolveOptions(options, false));
  await run.begin();
  await run.warmUp();
  if (!run.failed) await run.exhaust();
  return run.report();
}

/**
 * Runs `schedules` schedules (default 1000) that chance picks, the same ones for the same seed: for
 * scenarios too large to {@link explore}. Never complete.
 *
 * **Throws** (rejects) as {@link explore}.
 */
export async function sample<Shared>(
  scenario: Scenario<Shared>,
  options: SampleOptions = {},
): Promise<ModelReport> {
  const run = new Run(scenario, options, resolveOptions(options, true));
  await run.begin();
  await run.sample();
  return run.report();
}

/**
 * Runs one schedule, as a failure names it, with the options under which it failed.
 *
 * Code or scenario may have changed since: a report with `diverged` says that the schedule could
 * not be followed to its end, and so has shown nothing.
 *
 * **Throws** (rejects) TypeError if `schedule` is none; otherwise as {@link explore}.
 */
export async function replay<Shared>(
  scenario: Scenario<Shared>,
  schedule: string,
  options: ModelOptions = {},
): Promise<ModelReport> {
  const run = new Run(scenario, options, resolveOptions(options, false));
  await run.begin();
  await run.playBack(schedule);
  return run.report();
}

/** What {@link expectPassed} lets pass. */
export interface Allowance {
  /** What may be left out; by default nothing. */
  readonly leftOut?: readonly LeftOut[];
}

/**
 * Throws, with the trace, unless the report says that all went well, and that nothing was left out
 * but what the caller names.
 *
 * The report of a {@link sample} or a {@link replay} is asked only for what else was left out.
 */
export function expectPassed(report: ModelReport, allowance: Allowance = {}): void {
  checkOptions('allowance', allowance, ['leftOut']);
  const allowed = allowance.leftOut ?? [];
  allowed.forEach((what, i) => {
    checkOneOf(`allowance.leftOut[${i}]`, what, Object.keys(OMISSIONS) as LeftOut[]);
  });
  if (report.failure !== undefined) throw new Error(formatFailure(report));
  if (report.diverged) {
    throw new Error(
      `${report.scenario}: the schedule does not fit the scenario any more: explore it again`,
    );
  }
  const missing = report.leftOut.filter((what) => !allowed.includes(what));
  if (missing.length === 0) return;
  throw new Error(
    [
      `${report.scenario}: nothing is wrong in ${report.schedules} schedules, but left out were:`,
      ...missing.map((what) => `  '${what}': ${OMISSIONS[what]}`),
      'expectPassed(report, { leftOut: [...] }) names what may be',
    ].join('\n'),
  );
}
