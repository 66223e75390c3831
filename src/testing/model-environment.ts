// SPDX-License-Identifier: MIT
/** Model checker: bounds and seed that the environment sets, whatever the program asks for. */

import { checkInteger } from '../base/check.ts';
import type { SampleOptions } from './scenario.ts';

/** Variables and the options that they set; the documents name them. */
const VARIABLES = {
  BUSBAR_MODEL_SEED: 'seed',
  BUSBAR_MODEL_PREEMPTIONS: 'preemptions',
  BUSBAR_MODEL_STATES: 'states',
  BUSBAR_MODEL_SCHEDULES: 'schedules',
  BUSBAR_MODEL_MILLISECONDS: 'milliseconds',
} as const;

/** What the environment says, of the options that a call knows. */
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

/** True if a line about how far it is should be printed now and then. */
export function wantsProgress(environment: Readonly<Record<string, string | undefined>>): boolean {
  const text = environment.BUSBAR_MODEL_PROGRESS;
  return text !== undefined && text !== '' && text !== '0';
}
