// SPDX-License-Identifier: MIT
/** The full runs that are kept in bench/results, and what each kind of them holds. */

import { readdirSync, readFileSync } from 'node:fs';
import type { ScenarioFigures } from '../broker/report.ts';
import type { CaseFigures } from '../report.ts';
import type { ScalingDocument } from '../scaling/scaling-report.ts';

/** A run of `npm run bench`. */
export interface CoreRun {
  readonly machine: string;
  readonly engine: string;
  readonly commit: string;
  readonly results: readonly CaseFigures[];
}

/** A run of `npm run bench:broker`. */
export interface BrokerRun {
  readonly machine: string;
  readonly node: string;
  readonly commit: string;
  readonly natsVersion?: string;
  readonly results: readonly ScenarioFigures[];
}

/** All runs, those of one kind in the order of their files' names. */
export interface Runs {
  readonly core: readonly CoreRun[];
  readonly broker: readonly BrokerRun[];
  readonly scaling: readonly ScalingDocument[];
}

/** Reads every JSON document of a folder. **Throws** for one that no benchmark has written. */
export function readRuns(folder: string): Runs {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return sortRuns(
    names.sort().map((name) => [name, JSON.parse(readFileSync(`${folder}/${name}`, 'utf8'))]),
  );
}

/** By the fields that each kind has. */
export function sortRuns(documents: readonly (readonly [name: string, document: object])[]): Runs {
  const runs = {
    core: [] as CoreRun[],
    broker: [] as BrokerRun[],
    scaling: [] as ScalingDocument[],
  };
  for (const [name, document] of documents) {
    const { results, rows } = document as { results?: readonly object[]; rows?: unknown };
    if (rows !== undefined) runs.scaling.push(document as ScalingDocument);
    else if (results?.[0] && 'scenario' in results[0]) runs.broker.push(document as BrokerRun);
    else if (results?.[0] && 'id' in results[0]) runs.core.push(document as CoreRun);
    else throw new Error(`${name} is no document of a benchmark`);
  }
  return runs;
}

/** Where the figures of a run are from, one line. */
export function originOf(run: CoreRun | BrokerRun | ScalingDocument): string {
  const engine = 'engine' in run ? run.engine : `Node ${run.node.replace(/^v/, '')}`;
  const nats = 'natsVersion' in run ? `; ${run.natsVersion?.replace(': v', ' ')}` : '';
  return `${run.machine}; ${engine.replace('Node v', 'Node ')}; commit ${run.commit}${nats}.`;
}

/** The name of an engine as a column has it: `Node 26`. */
export function shortEngine({ engine }: CoreRun): string {
  return engine.replace(/^Node v?(\d+)\S*/, 'Node $1').replace(/^(\S+ \d+\.\d+)\.\S*/, '$1');
}
