// SPDX-License-Identifier: MIT
/**
 * Model checker: bugs written by hand, planted one at a time in copies of the modules that
 * scenarios use.
 */

import { afterAll, expect, test } from 'vitest';
import { sampled } from '../effort.ts';
import { loadPlanted, removeCopy, sources } from './copies.ts';
import { type Case, isWhole, Notes, type Planted } from './coverage.ts';
import { findFailure } from './find-failure.ts';
import { MORTAL } from './mortal.ts';
import { PAIRED, SHRUNK } from './shrunk.ts';

/** A bug: what it is, in which module, what is replaced by what, and which scenarios to run. */
export interface Bug {
  readonly what: string;
  readonly entry: string;
  readonly from: string;
  readonly to: string;
  readonly scenarios: RegExp;
  /** How many preemptions it takes, where that is more than the scenarios are run with. */
  readonly preemptions?: number;
  /** Planted in modules with few bits. */
  readonly isShrunk?: boolean;
  /** Planted in modules with groups of two slots. */
  readonly isPaired?: boolean;
}

/** Makes bugs in modules of one folder, in the order of the fields of {@link Bug}. */
export function bugsIn(
  area: string,
  folder: string,
  rest: Pick<Bug, 'isShrunk' | 'isPaired'> = {},
) {
  return (what: string, file: string, from: string, to: string, scenarios: RegExp): Bug => {
    const entry = `${folder}/${file}.ts`;
    return { what: `${area}: ${what}`, entry, from, to, scenarios, ...rest };
  };
}

/** Loads the copy of a module under `src/`, with the bug in it or in what it imports. */
export type Load = <Exports>(module: string) => Promise<Exports>;

const STATES_MAX = 20_000;

/**
 * A test for each bug, in `npm test` for every fourth: some scenario fails, with no preemption,
 * one, or as many as are due.
 */
export function huntAll<Shared>(
  name: string,
  bugs: readonly Bug[],
  casesOf: (load: Load) => Promise<readonly Case<Shared>[]>,
): void {
  const notes = new Notes<Planted>(name, 'planted');
  const table: string[] = [];
  afterAll(() => {
    console.log(table.join('\n'));
  });
  test('each bug can be planted', () => {
    // Code changes, and what was to be replaced may be gone.
    for (const { entry, from } of bugs) expect(sources().get(entry)).toContain(from);
  });
  const planted = isWhole ? bugs : sampled(bugs);
  planted.forEach((bug, i) => {
    test(bug.what, { timeout: 600_000 }, async () => {
      const variant = `${name}-mutant-${process.pid}-${i}`;
      const foundBy = await hunt(bug, variant, casesOf).finally(() => removeCopy(variant));
      notes.add({ bug: bug.what, foundBy });
      table.push(`${bug.what.padEnd(66)}${foundBy ?? 'NOT FOUND'}`);
      expect(foundBy).toBeDefined();
    });
  });
}

async function hunt<Shared>(
  bug: Bug,
  variant: string,
  casesOf: (load: Load) => Promise<readonly Case<Shared>[]>,
): Promise<string | undefined> {
  const base = bug.isShrunk === true ? SHRUNK : bug.isPaired === true ? PAIRED : MORTAL;
  const plant = (text: string): string => text.replace(bug.from, bug.to);
  const all = await casesOf((module) =>
    loadPlanted(base, { variant, entry: bug.entry, plant }, module),
  );
  const cases = all.filter(({ scenario }) => bug.scenarios.test(scenario.name));
  // With few preemptions first, in all of them: most bugs need none or one, and that takes no time.
  const seen = cases.map(() => new Set<number>());
  for (const few of [0, 1, Infinity]) {
    for (const [i, { scenario, quick }] of cases.entries()) {
      const most = bug.preemptions ?? quick.preemptions ?? Infinity;
      const preemptions = few === Infinity ? most : few;
      if (seen[i]?.has(preemptions)) continue;
      seen[i]?.add(preemptions);
      const report = await findFailure(scenario, { ...quick, preemptions, states: STATES_MAX });
      if (report.failure !== undefined) return `${scenario.name}: ${report.failure.kind}`;
    }
  }
  return undefined;
}
