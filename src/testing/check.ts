// SPDX-License-Identifier: MIT
/** Model checker: runs a scenario with every schedule, with random ones, or with a known one. */

import { checkOneOf, checkOptions } from '../base/check.ts';
import { readWhole } from './checkpoint.ts';
import { resolveOptions } from './model-options.ts';
import { type LeftOut, OMISSIONS } from './omissions.ts';
import { formatFailure } from './report.ts';
import { Run } from './run.ts';
import type { ModelOptions, ModelReport, SampleOptions, Scenario } from './scenario.ts';

/**
 * Runs every interleaving of a scenario within the bounds.
 *
 * Without a bound on `preemptions`, a scenario that is not small runs first with 0, 1, 2 and 3,
 * since most bugs need few. The exploration stops at the first failure, and then searches for one
 * with fewer preemptions. It returns a failure in the report and does not throw: see
 * {@link expectPassed}. The report is complete if its `leftOut` is empty.
 *
 * **Threads** one exploration at a time in a process, without other significant work beside it:
 * while it runs, `Atomics`, the shared views, the clock and the timers are replaced on
 * `globalThis`. It lets the real event loop turn every 500 schedules.
 * **Throws** (rejects) TypeError and RangeError naming the argument; exceptions of `setup`.
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
 * Continues an exploration from a checkpoint: the path of a file, or the bytes, as
 * {@link ModelOptions.checkpoint} got them. Scenario and options are those of the run that wrote
 * it; only `schedules`, `milliseconds`, `progress` and `checkpoint` may differ. The report is that
 * of an exploration that was not interrupted, `elapsedMs` aside, unless a limit ended its first
 * `warmUp` schedules.
 *
 * **Threads** as {@link explore}.
 * **Throws** (rejects) BusbarError ERR_BUSBAR_BAD_CHECKPOINT for a checkpoint of another scenario,
 * of other options or of another version of busbar; otherwise as {@link explore}.
 */
export async function resume<Shared>(
  scenario: Scenario<Shared>,
  checkpoint: string | Uint8Array,
  options: ModelOptions = {},
): Promise<ModelReport> {
  const run = new Run(scenario, options, resolveOptions(options, false));
  const bytes = typeof checkpoint === 'string' ? readWhole(checkpoint) : checkpoint;
  await run.begin(true);
  await run.exhaust(bytes);
  return run.report();
}

/**
 * Runs `schedules` random schedules (default 1000), the same ones for the same seed. For scenarios
 * too large to {@link explore}. Never complete.
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
 * Runs one schedule, as printed in a failure, with the options under which it failed.
 *
 * If code or scenario have changed since then, the report may say `diverged`: the schedule could
 * not be followed to its end, and the replay shows nothing.
 *
 * **Throws** (rejects) TypeError unless `schedule` is a schedule; otherwise as {@link explore}.
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

/** Options of {@link expectPassed}. */
export interface Allowance {
  /** Omissions to accept; default none. */
  readonly leftOut?: readonly LeftOut[];
}

/**
 * Throws, with the trace, if the report has a failure or an omission that the caller does not
 * accept. {@link sample} and {@link replay} are never complete; that alone is accepted.
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
