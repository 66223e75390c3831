// SPDX-License-Identifier: MIT
/**
 * Model checker: runs lists of scenarios as tests, and records the coverage of each run for `npm
 * run model`. BUSBAR_MODEL=whole, which is what that sets, runs to their ends what `npm test` cuts
 * short; BUSBAR_MODEL=long goes further, to BUSBAR_MODEL_STATES states each.
 */

import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  expectPassed,
  explore,
  type LeftOut,
  type ModelOptions,
  type Scenario,
} from 'busbar/testing';
import { afterAll, test } from 'vitest';
import { sampled, scaled } from '../effort.ts';

export const isLong: boolean = process.env.BUSBAR_MODEL === 'long';
/** False in `npm test`, which has ten minutes for everything. */
export const isWhole: boolean = isLong || process.env.BUSBAR_MODEL === 'whole';

const NOTES = join(import.meta.dirname, '../../build/model');
const LONG_STATES = Number(process.env.BUSBAR_MODEL_STATES ?? 4_000_000);
const QUICK_STATES = 150_000;
/** States of a scenario in `npm test`. */
const TEST_STATES = 1_000;

/** A scenario and how far to go: in the test run, and when there is time. */
export interface Case<Shared> {
  readonly scenario: Scenario<Shared>;
  readonly quick: ModelOptions;
  readonly long: ModelOptions;
}

/** Some scenarios with one subject: a line of the table in docs/verification.md. */
export interface Part<Shared> {
  readonly name: string;
  /** What the threads do. */
  readonly operations: string;
  readonly cases: readonly Case<Shared>[];
}

/** What one exploration has covered. */
export interface Coverage {
  readonly part: string;
  readonly operations: string;
  readonly scenario: string;
  readonly threads: number;
  /** Preemptions; null: without a bound. */
  readonly preemptions: number | null;
  readonly schedules: number;
  readonly states: number;
  readonly deaths: number;
  readonly exceptions: number;
  /** What was left out; 'states': it was cut short. */
  readonly leftOut: readonly LeftOut[];
  readonly ms: number;
}

/** One bug that was planted, and what has found it. */
export interface Planted {
  readonly bug: string;
  readonly foundBy: string | undefined;
}

/** Appends what becomes known, line by line: a run that is cut short has told what it knew. */
export class Notes<Line> {
  readonly #path: string;

  constructor(name: string, kind: 'coverage' | 'planted') {
    mkdirSync(NOTES, { recursive: true });
    this.#path = join(NOTES, `${name}.${kind}.jsonl`);
    rmSync(this.#path, { force: true });
  }

  add(line: Line): void {
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
  }
}

/** A test for each scenario, in `npm test` for every fourth of a part. */
export function exploreAll<Shared>(name: string, parts: readonly Part<Shared>[]): void {
  const notes = new Notes<Coverage>(name, 'coverage');
  const table: string[] = [];
  afterAll(() => {
    console.log(table.join('\n'));
  });
  for (const part of parts) {
    for (const item of isWhole ? part.cases : sampled(part.cases)) {
      test(item.scenario.name, { timeout: isLong ? 3_600_000 : 300_000 }, async () => {
        const line = await cover(part, item);
        notes.add(line);
        table.push(describe(line));
      });
    }
  }
}

async function cover<Shared>(part: Part<Shared>, item: Case<Shared>): Promise<Coverage> {
  const options = isLong ? item.long : isWhole ? item.quick : inTest(item.quick);
  const states = isLong ? LONG_STATES : QUICK_STATES;
  const report = await explore(item.scenario, { states, ...options });
  expectPassed(report, { leftOut: mayBeLeftOut(options) });
  return {
    part: part.name,
    operations: part.operations,
    scenario: item.scenario.name,
    threads: Object.keys(item.scenario.threads).length,
    preemptions: options.preemptions ?? null,
    schedules: report.schedules,
    states: report.states,
    deaths: report.kills,
    exceptions: report.exceptions,
    leftOut: report.leftOut,
    ms: Math.round(report.elapsedMs),
  };
}

function inTest(options: ModelOptions): ModelOptions {
  return { ...options, states: Math.min(options.states ?? QUICK_STATES, scaled(TEST_STATES)) };
}

/**
 * What a report may leave out: what its options bound, middle rounds of loops that end by
 * themselves, and old values of hints. Some scenarios are too large for the test run; they declare
 * `states`.
 */
function mayBeLeftOut(options: ModelOptions): LeftOut[] {
  const may: LeftOut[] = ['stale reads', 'rounds', 'timeouts', 'polls'];
  if (!isWhole || options.preemptions !== undefined) may.push('preemptions');
  if (!isWhole || isLong || options.states !== undefined) may.push('states');
  if (options.memory === 'es') may.push('weak reads', 'old writes', 'unfair schedules');
  return may;
}

function describe(line: Coverage): string {
  const bound = line.preemptions === null ? 'all' : `≤ ${line.preemptions} preemptions`;
  const counts =
    `${line.schedules} schedules, ${line.states} states, ` +
    `${line.deaths} deaths, ${line.exceptions} exceptions`;
  const end = line.leftOut.length === 0 ? '' : `, without ${line.leftOut.join(', ')}`;
  return `${line.scenario.padEnd(40)}${bound.padEnd(17)}${counts}, ${line.ms} ms${end}`;
}
