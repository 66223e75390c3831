// SPDX-License-Identifier: MIT
/**
 * Builds the shim (native → build/Release/busbar.node) with node-gyp, in a folder of its own.
 *
 * `npm run build:native` fails where there is no compiler; the build as a whole goes on without.
 * It needs no development dependency: in an installed package npm's own node-gyp does.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { listFiles, ROOT } from './files.mjs';
import { Stamp } from './stamp.mjs';

/** Where the loader looks first. */
export const BINARY = 'build/Release/busbar.node';

/** Says what became of the shim: `{ outcome, reason }`; the tests go by it. */
export const REPORT = 'build/native.json';

/**
 * What `npm run prebuild` has made of older sources must not outlive them. In an installed package,
 * which lacks that script, it is what the package came with, and stays.
 */
const PREBUILT = `prebuilds/${process.platform}-${process.arch}`;
const OUTDATED = [
  BINARY,
  REPORT,
  ...(existsSync(`${ROOT}scripts/prebuild-native.mjs`) ? [PREBUILT] : []),
];

const WINDOWS = process.platform === 'win32';

/**
 * Builds the shim if it is out of date. 'built' (or up to date), 'skipped' (one line says why) or
 * 'failed' (the compiler has said why).
 */
export function buildNative({ force = false } = {}) {
  const sources = listFiles('native');
  const stamp = new Stamp('native', [...sources, 'scripts/build-native.mjs'], [BINARY, REPORT]);
  if (!force && stamp.isFresh()) return 'built';
  stamp.forget();
  for (const old of OUTDATED) rmSync(ROOT + old, { recursive: true, force: true });
  const result = compile();
  mkdirSync(`${ROOT}build`, { recursive: true });
  writeFileSync(ROOT + REPORT, `${JSON.stringify(result)}\n`);
  if (result.outcome === 'built') stamp.write();
  if (result.outcome === 'skipped') console.log(`The native shim is not built: ${result.reason}.`);
  return result.outcome;
}

function compile() {
  const missing = missingTool();
  if (missing !== undefined) return { outcome: 'skipped', reason: missing };
  const gyp = findNodeGyp();
  if (gyp === undefined) return { outcome: 'skipped', reason: 'node-gyp is not installed' };
  mkdirSync(`${ROOT}build`, { recursive: true });
  const folder = mkdtempSync(`${ROOT}build/shim-`);
  try {
    cpSync(`${ROOT}native`, folder, { recursive: true });
    return compileIn(folder, gyp);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function compileIn(folder, gyp) {
  const headers = findHeaders();
  if (headers === undefined && !run(gyp, folder, 'install', '--ensure').done) {
    return { outcome: 'skipped', reason: 'the headers of Node are not here and cannot be fetched' };
  }
  const options = headers === undefined ? [] : [`--nodedir=${headers}`];
  for (const step of ['configure', 'build']) {
    const { done, output } = run(gyp, folder, step, '--release', ...options);
    if (done) continue;
    if (WINDOWS && step === 'configure') {
      return { outcome: 'skipped', reason: 'node-gyp finds no compiler or no Python' };
    }
    console.error(output.trimEnd());
    return { outcome: 'failed', reason: `node-gyp ${step} failed` };
  }
  place(`${folder}/build/Release/busbar.node`, ROOT + BINARY);
  return { outcome: 'built', reason: '' };
}

/** Puts a copy there in one step: a process that has loaded the old file keeps the old one. */
export function place(source, target) {
  mkdirSync(dirname(target), { recursive: true });
  const passing = `${target}.${process.pid}`;
  copyFileSync(source, passing);
  renameSync(passing, target);
}

function run(gyp, folder, ...args) {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [gyp, ...args], {
    cwd: folder,
    encoding: 'utf8',
    // There is no C++ in it: nothing of that need be there, nor be linked.
    env: WINDOWS ? process.env : { LINK: process.env.CC || 'cc', ...process.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  });
  return { done: status === 0, output: `${stdout ?? ''}${stderr ?? ''}${error ?? ''}` };
}

/** What is not there of what it takes, as a reason; Windows is left to node-gyp's own search. */
function missingTool() {
  if (WINDOWS) return undefined;
  const { CC = 'cc', MAKE = 'make', PYTHON, npm_config_python } = process.env;
  if (!runs(CC)) return `there is no C compiler (${CC})`;
  if (!runs(MAKE)) return `there is no ${MAKE}`;
  if ([PYTHON ?? npm_config_python ?? 'python3', 'python'].some(runs)) return undefined;
  return 'there is no Python';
}

/** Whether a command, which may have arguments, says its version. */
function runs(command) {
  return spawnSync(`${command} --version`, { shell: true, stdio: 'ignore' }).status === 0;
}

/** Ours, or the one that npm brings along for `npm run`. */
function findNodeGyp() {
  try {
    return createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  } catch {
    const { npm_config_node_gyp: given } = process.env;
    return given !== undefined && existsSync(given) ? given : undefined;
  }
}

/** The folder whose include/node has the headers of the Node that runs this. */
function findHeaders() {
  const places = [process.env.npm_config_nodedir, dirname(dirname(process.execPath))];
  return places.find((place) => place && existsSync(`${place}/include/node/node_api.h`));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const outcome = buildNative({ force: process.argv.includes('--force') });
  process.exitCode = outcome === 'built' ? 0 : 1;
}
