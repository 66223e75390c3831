// SPDX-License-Identifier: MIT
/**
 * Model checker against brute force on random programs: it misses no outcome and invents none.
 *
 * `npm run model -- --oracle --seed S` compares 10 000 programs of each family; the test run a few.
 */

import { explore, formatFailure, type ModelReport, type Scenario } from 'busbar/testing';
import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { scaled } from '../effort.ts';
import { bruteForce, outcomeOf } from './oracle-brute.ts';
import {
  describeProgram,
  FAMILIES,
  type Family,
  looksForRaces,
  makeViews,
  type Program,
  perform,
  randomProgram,
  type Views,
  WORDS,
} from './oracle-programs.ts';

const SEED = Number(process.env.BUSBAR_MODEL_ORACLE ?? 12);
const PROGRAMS = Number(process.env.BUSBAR_MODEL_ORACLE_PROGRAMS ?? scaled(15));

/** Kinds of failure that mean: nobody can move. */
const STUCK: readonly (string | undefined)[] = ['deadlock', 'lost wake-up', 'livelock'];

async function run(program: Program): Promise<{ outcomes: Set<string>; report: ModelReport }> {
  const outcomes = new Set<string>();
  const names = program.threads.map((_, t) => `t${t}`);
  const all = [...names, ...(program.kills > 0 ? names.map((name) => `${name}'s-supervisor`) : [])];
  const scenario: Scenario<Views> = {
    name: 'random',
    setup: makeViews,
    threads: Object.fromEntries(
      program.threads.map((thread, t) => [names[t], (views: Views) => perform(thread, views)]),
    ),
    ...(program.kills > 0 ? { supervisor: (views) => perform(program.supervisor, views) } : {}),
    check: ({ words }, { results, killed }) => {
      const values = Array.from({ length: WORDS }, (_, word) => words[word]);
      const dead = names.flatMap((name, t) => (killed.includes(name) ? [t] : []));
      outcomes.add(
        outcomeOf(
          all.map((name) => results[name] ?? null),
          values,
          dead,
        ),
      );
    },
  };
  const options = { kills: program.kills, warmUp: 2, states: Number.POSITIVE_INFINITY };
  return { outcomes, report: await explore(scenario, options) };
}

async function compare(program: Program, family: Family): Promise<string> {
  const truth = bruteForce(program, looksForRaces(family));
  const { outcomes, report } = await run(program);
  const kind = report.failure?.kind;
  const told = `checker: ${formatFailure(report) || 'passes'}`;
  const expected = truth.races ? 'data race' : truth.stuck ? 'stuck' : undefined;
  const found = STUCK.includes(kind) ? 'stuck' : kind;
  if (expected !== found) return `expected ${expected ?? 'a pass'}; ${told}`;
  if (expected !== undefined) return '';
  const missed = [...truth.outcomes].filter((outcome) => !outcomes.has(outcome));
  const extra = [...outcomes].filter((outcome) => !truth.outcomes.has(outcome));
  if (missed.length === 0 && extra.length === 0) return '';
  return `missed ${missed.join(' ')}\nextra ${extra.join(' ')}`;
}

test.each(FAMILIES)('%s: as brute force says', { timeout: 3_600_000 }, async (family) => {
  const random = new Random(SEED);
  for (let i = 0; i < PROGRAMS; i++) {
    const program = randomProgram(random, family);
    const difference = await compare(program, family);
    const name = `program ${i} of seed ${SEED}\n${describeProgram(program)}`;
    expect(difference, name).toBe('');
  }
  console.log(`${family}: ${PROGRAMS} programs of seed ${SEED}, no difference`);
});
