// SPDX-License-Identifier: MIT
/** Model checker: whether a scenario fails, for bugs that are planted. */

import type { ModelOptions, ModelReport, Scenario } from 'busbar/testing';
import { resolveOptions } from '../../src/testing/model-options.ts';
import { Run } from '../../src/testing/run.ts';

/**
 * `explore`, which then tries up to 80 000 schedules to find the failure again with fewer
 * preemptions. This does not: it takes longer than to find most bugs, for a schedule that no one
 * reads.
 */
export async function findFailure<Shared>(
  scenario: Scenario<Shared>,
  options: ModelOptions,
): Promise<ModelReport> {
  const run = new Run(scenario, options, resolveOptions(options, false));
  run.simplerMax = 0;
  await run.begin();
  await run.warmUp();
  if (!run.failed) await run.exhaust();
  return run.report();
}
