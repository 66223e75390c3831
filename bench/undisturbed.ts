// SPDX-License-Identifier: MIT
/**
 * Chooses the runs that had the machine to themselves, by the yardstick beside them, never by their
 * own time.
 */

import type { CaseSamples, Run } from './bench-case.ts';

/** The samples of one process, and whether other programs of this system left its cores alone. */
export interface Round {
  readonly samples: CaseSamples;
  readonly isQuiet: boolean;
}

/** How much slower than at its best the core may have been before and after a run. */
const SLOWER_MAX = 1.15;
/** With fewer undisturbed runs than this, all are shown, and marked. */
const RUNS_MIN = 5;

/** Runs during which nothing is known to have taken or slowed the core. */
export function undisturbedRuns(rounds: readonly Round[], bestYardstickNs: number): readonly Run[] {
  const quiet = rounds.flatMap(({ samples, isQuiet }) => (isQuiet ? samples.runs : []));
  return quiet.filter((run) => run.yardstickNs <= SLOWER_MAX * bestYardstickNs);
}

/** What is to be reported of a case: its undisturbed runs if there are enough, otherwise all. */
export function chooseRuns(
  rounds: readonly Round[],
  bestYardstickNs: number,
): { readonly runs: readonly Run[]; readonly disturbed: boolean } {
  const runs = undisturbedRuns(rounds, bestYardstickNs);
  if (runs.length >= RUNS_MIN) return { runs, disturbed: false };
  return { runs: rounds.flatMap(({ samples }) => samples.runs), disturbed: true };
}

/** The core at its best in these rounds. */
export function bestYardstickNs(rounds: readonly Round[]): number {
  const all = rounds.flatMap(({ samples }) => samples.runs.map((run) => run.yardstickNs));
  return all.reduce((best, ns) => Math.min(best, ns), Infinity);
}
