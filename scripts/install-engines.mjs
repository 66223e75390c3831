// SPDX-License-Identifier: MIT
/**
 * `node scripts/install-engines.mjs`: installs the engines that test/engines/package.json names
 * into build/engines/tools: once, and again when that file or its lock has changed. Ends with 1 if
 * they cannot be had.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { ROOT } from './files.mjs';

export const PLACE = `${ROOT}build/engines/`;

const TOOLS = `${PLACE}tools/`;
const MANIFEST = ['package.json', 'package-lock.json'];
/** Within node_modules; bench/engine.ts has them, too. */
const PROGRAMS = {
  node22: 'node22/bin/node',
  node24: 'node24/bin/node',
  node26: 'node26/bin/node',
  bun: 'bun/bin/bun',
  deno: 'deno/deno',
};

/** The executable of an installed engine. */
export function programOf(name) {
  return `${TOOLS}node_modules/${PROGRAMS[name]}`;
}

/** Returns whether they are there now. */
export function installEngines() {
  return installPackages('test/engines/', TOOLS, []);
}

/**
 * Installs what the manifest in `source` names into `target`, both with a slash at their ends.
 * Returns whether it is there now; what is wrong is printed.
 */
export function installPackages(source, target, options) {
  const same = (name) => {
    const [here, there] = [ROOT + source + name, target + name];
    return existsSync(there) && readFileSync(here, 'utf8') === readFileSync(there, 'utf8');
  };
  if (existsSync(`${target}node_modules`) && MANIFEST.every(same)) return true;
  mkdirSync(target, { recursive: true });
  for (const name of MANIFEST) copyFileSync(ROOT + source + name, target + name);
  console.log(`-- installing the engines of ${source}package.json`);
  const args = ['ci', '--ignore-scripts', '--no-fund', '--no-audit', '--fetch-retries=5'];
  const stdio = ['ignore', 'inherit', 'inherit'];
  const { status } = spawnSync('npm', [...args, ...options], { cwd: target, stdio });
  if (status === 0) return true;
  rmSync(target, { recursive: true, force: true });
  console.error('The engines cannot be installed: that needs the npm registry, and 1 GB of space.');
  return false;
}

if (process.argv[1] === import.meta.filename && !installEngines()) process.exitCode = 1;
