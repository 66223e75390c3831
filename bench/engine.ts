// SPDX-License-Identifier: MIT
/** The engines that a benchmark can run on. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { UsageError } from './command-line.ts';

/** Installed by scripts/install-engines.mjs, which names them, too; below node_modules. */
const PROGRAMS: Readonly<Record<string, string>> = {
  node22: 'node22/bin/node',
  node24: 'node24/bin/node',
  node26: 'node26/bin/node',
  bun: 'bun/bin/bun',
  deno: 'deno/deno',
};
/** From build/bench, where the programs of the benchmarks are. */
const TOOLS = fileURLToPath(new URL('../engines/tools/node_modules/', import.meta.url));

export interface Engine {
  /** What starts a program on it, before the program's path. */
  readonly command: readonly string[];
  /** `Node v26.12.1`, `Bun 1.4.5`, `Deno 2.9.6`. */
  readonly version: string;
  /** Whether all that busbar needs is there; elsewhere some cases do not run. */
  readonly isNode: boolean;
}

/** The engine of that name, or the executable at that path. **Throws** UsageError without one. */
export function engineOf(nameOrPath: string): Engine {
  const known = PROGRAMS[nameOrPath];
  const program = known === undefined ? nameOrPath : TOOLS + known;
  if (known !== undefined && !existsSync(program)) {
    throw new UsageError(
      `${nameOrPath} is not installed: node scripts/install-engines.mjs installs the engines`,
    );
  }
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  if (status !== 0) throw new UsageError(`--engine ${nameOrPath} does not run`);
  const version = versionIn(stdout);
  const command = version.startsWith('Deno') ? [program, 'run', '-A'] : [program];
  return { command, version, isNode: version.startsWith('Node') };
}

/** From what `--version` prints: `v26.12.1`, `1.4.5` or `deno 2.9.6 (stable, …`. */
export function versionIn(printed: string): string {
  const [number] = /[\d.]+\d/.exec(printed) ?? ['of unknown version'];
  if (/^v\d/.test(printed)) return `Node v${number}`;
  return `${printed.startsWith('deno') ? 'Deno' : 'Bun'} ${number}`;
}
