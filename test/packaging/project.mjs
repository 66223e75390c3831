// SPDX-License-Identifier: MIT
/** A project outside of the repository that has the tarball installed, and how its program runs. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { transformSync } from 'esbuild';
import { ROOT } from '../../scripts/files.mjs';

const LIMIT_MS = 240_000;

/** What the shim says of itself where it is installed. */
export const SHIM =
  JSON.parse(readFileSync(`${ROOT}build/native.json`, 'utf8')).outcome === 'built'
    ? /^$/
    : /^there is no binary for /;

export const IN_BUNDLE =
  /^the shim is no part of the bundle that busbar is in; leave the package outside of it$/;

/** Its name before Node 23.5. */
const PERMISSION = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';

const KNOWS_NET = process.allowedNodeEnvironmentFlags.has('--allow-net');

/** The flags of a program that may do no more than busbar needs without its shim. */
export function leastPermissions(place) {
  const flags = [PERMISSION, '--allow-worker', `--allow-fs-read=${place}`];
  return KNOWS_NET ? [...flags, '--allow-net'] : flags;
}

/** The compiler of this repository, or the one of test/packaging/package.json with that name. */
export function compilerOf({ tools }, name) {
  return `${name === undefined ? ROOT : `${tools}/`}node_modules/${name ?? 'typescript'}/bin/tsc`;
}

/** Unpacks the tarball and what it depends on below `place`, as npm would. */
export function install({ place, tarball }) {
  write(place, 'package.json', '{ "name": "reader", "private": true, "type": "module" }\n');
  const modules = `${place}/node_modules`;
  mkdirSync(`${modules}/busbar`, { recursive: true });
  mustRun('tar', ['-xzf', tarball, '--strip-components=1', '-C', `${modules}/busbar`], place);
  for (const name of ['node-gyp-build', '@types/node', 'undici-types']) {
    cpSync(`${ROOT}node_modules/${name}`, `${modules}/${name}`, { recursive: true });
  }
  return place;
}

export function write(place, name, text) {
  writeFileSync(`${place}/${name}`, text);
}

export function readApp() {
  return readFileSync(`${ROOT}test/packaging/app.ts`, 'utf8');
}

/** app.ts as JavaScript; as CommonJS it is its own module by its file name. */
export function appAs(format) {
  const isCommon = format === 'cjs';
  const { code } = transformSync(readApp(), {
    loader: 'ts',
    format,
    platform: 'node',
    tsconfigRaw: {},
    ...(isCommon ? { define: { 'import.meta.url': 'SELF_URL' }, banner: SELF_URL } : {}),
  });
  return code;
}

/** For `define` of bundlers whose CommonJS has no `import.meta.url`. */
export const SELF_URL = "const SELF_URL = require('node:url').pathToFileURL(__filename).href;";

/** Runs the program and compares what it reports. */
export function expectApp(place, file, { flags = [], env = {}, shim = SHIM, handled = 10 } = {}) {
  const printed = mustRun(process.execPath, [...flags, file], place, env);
  const { shim: reason, handled: count, ...rest } = JSON.parse(printed.stdout);
  assert.deepEqual(rest, { received: 500_500, echoed: 'hello', refused: 'ERR_BUSBAR_TIMEOUT' });
  assert.match(reason, shim);
  if (typeof handled === 'number') assert.equal(count, handled);
  else assert.match(String(count), handled);
}

/** A module of test/packaging/package.json. */
export function toolOf({ tools }, name) {
  const file = createRequire(`${tools}/package.json`).resolve(name);
  return import(pathToFileURL(file).href);
}

/** Runs a command to its end; throws with all that it printed if it fails. */
export function mustRun(command, args, cwd, env = {}) {
  const result = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: LIMIT_MS,
    maxBuffer: 1 << 26,
    env: { ...process.env, NODE_OPTIONS: '', BUSBAR_NATIVE: '', ...env },
  });
  const { status, signal, error, stdout, stderr } = result;
  if (status === 0) return result;
  const how = error ?? signal ?? status;
  throw new Error(`${command} ${args.join(' ')} ended with ${how}\n${stdout ?? ''}${stderr ?? ''}`);
}
