// SPDX-License-Identifier: MIT
/** Model checker: bounds and seed from environment variables, which override the program's. */

import { checkInteger } from '../base/check.ts';
import type { SampleOptions } from './scenario.ts';

/** Environment variables, and the options that they set; documented in docs/testing.md. */
const VARIABLES = {
  BUSBAR_MODEL_SEED: 'seed',
  BUSBAR_MODEL_PREEMPTIONS: 'preemptions',
  BUSBAR_MODEL_STATES: 'states',
  BUSBAR_MODEL_SCHEDULES: 'schedules',
  BUSBAR_MODEL_MILLISECONDS: 'milliseconds',
} as const;

/** The options that the environment sets, among those that a call has. */
export function environmentOptions(
  environment: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): Partial<SampleOptions> {
  const options: Record<string, number> = {};
  for (const [variable, key] of Object.entries(VARIABLES)) {
    const text = environment[variable];
    if (text === undefined || text === '' || !known.includes(key)) continue;
    const max = key === 'seed' ? 2 ** 32 - 1 : 2 ** 31 - 1;
    options[key] = text === 'Infinity' ? Infinity : checkInteger(variable, Number(text), 0, max);
  }
  return options;
}

/** True if progress should be printed. */
export function wantsProgress(environment: Readonly<Record<string, string | undefined>>): boolean {
  const text = environment.BUSBAR_MODEL_PROGRESS;
  return text !== undefined && text !== '' && text !== '0';
}
