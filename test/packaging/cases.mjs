// SPDX-License-Identifier: MIT
/** The ways to install, compile, bundle and run the package; each throws if something is wrong. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { ROOT } from '../../scripts/files.mjs';
import { BUNDLE_CASES } from './bundle-cases.mjs';
import { MANAGER_CASES } from './manager-cases.mjs';
import {
  appAs,
  compilerOf,
  expectApp,
  install,
  leastPermissions,
  mustRun,
  readApp,
  SHIM,
  write,
} from './project.mjs';
import { STRANGER_CASES } from './stranger-cases.mjs';

const KNOWS_ADDONS = process.allowedNodeEnvironmentFlags.has('--allow-addons');

/** A project as `tsc --init` makes it, of one compiler; compiled strictly, and run. */
function compiled(compiler) {
  return (setting) => {
    const place = install(setting);
    const tsc = compilerOf(setting, compiler);
    write(place, 'app.ts', readApp());
    write(place, 'entries.ts', everyEntry());
    mustRun(process.execPath, [tsc, '--init'], place);
    const options = {
      module: 'nodenext',
      skipLibCheck: false,
      types: [],
      rootDir: '.',
      outDir: 'out',
    };
    write(
      place,
      'strict.json',
      JSON.stringify({
        extends: './tsconfig.json',
        compilerOptions: options,
        files: ['app.ts', 'entries.ts'],
      }),
    );
    mustRun(process.execPath, [tsc, '-p', 'strict.json'], place);
    expectApp(place, 'out/app.js');
  };
}

/** A module whose compilation checks the declarations of every entry point. */
function everyEntry() {
  const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  const entries = Object.keys(exports).filter((entry) => exports[entry].types !== undefined);
  const lines = entries.map((entry, index) => {
    return `export type Entry${index} = typeof import('busbar${entry.slice(1)}');\n`;
  });
  return lines.join('');
}

/** By name; those with `tools` need test/packaging/package.json to be installed. */
export const CASES = {
  'node: modules, node_modules read-only and untouched': { run: readOnly },
  'node: CommonJS': {
    run(setting) {
      const place = install(setting);
      write(place, 'app.cjs', appAs('cjs'));
      expectApp(place, 'app.cjs');
    },
  },
  'node: the permission model': { run: permissions },
  'node: the reasons for a missing shim': { run: reasons },
  'tsc: 6, as this repository has it': { run: compiled() },
  'tsc: 5.7': { tools: true, run: compiled('typescript-5.7') },
  'tsc: 5.9': { tools: true, run: compiled('typescript-5.9') },
  'tsc: 7': { tools: true, run: compiled('typescript-7') },
  ...BUNDLE_CASES,
  ...STRANGER_CASES,
  ...MANAGER_CASES,
};

function readOnly(setting) {
  const place = install(setting);
  write(place, 'app.js', appAs('esm'));
  mustRun('chmod', ['-R', 'a-w', 'node_modules'], place);
  const before = listing(`${place}/node_modules`);
  expectApp(place, 'app.js');
  // Root may write nevertheless; so what is there must be the same.
  assert.deepEqual(listing(`${place}/node_modules`), before);
}

function listing(folder) {
  return readdirSync(folder, { recursive: true })
    .sort()
    .map((path) => {
      const { size, mtimeMs } = statSync(`${folder}/${path}`);
      return `${path} ${size} ${mtimeMs}`;
    });
}

function permissions(setting) {
  const place = install(setting);
  write(place, 'app.js', appAs('esm'));
  const least = leastPermissions(place);
  const file = /^the permission model of Node denies reading \S+ \(--allow-fs-read\)$/;
  expectApp(place, 'app.js', { flags: least, shim: file });
  // What the loader wants to know of the C library.
  const more = [...least, '--allow-fs-read=/etc/alpine-release'];
  expectApp(place, 'app.js', { flags: more, shim: /denies native addons \(--allow-addons\)$/ });
  if (KNOWS_ADDONS) expectApp(place, 'app.js', { flags: [...more, '--allow-addons'] });
}

/** Each with its own words, and nothing else missing. */
function reasons(setting) {
  const place = install(setting);
  const busbar = `${place}/node_modules/busbar`;
  write(place, 'app.js', appAs('esm'));
  expectApp(place, 'app.js', {
    env: { BUSBAR_NATIVE: 'off' },
    shim: /^switched off by BUSBAR_NATIVE=off$/,
  });
  if (SHIM.test(''))
    expectApp(place, 'app.js', { flags: ['--no-addons'], shim: /^switched off by --no-addons$/ });
  const musl = new RegExp(
    `^there is no binary for ${process.platform}-${process.arch} with musl in ${busbar}/`,
  );
  expectApp(place, 'app.js', { env: { LIBC: 'musl' }, shim: musl });
  rmSync(`${busbar}/prebuilds`, { recursive: true, force: true });
  const none =
    /^there is no binary for .*; npm run build:native there makes one if there is a C compiler$/;
  expectApp(place, 'app.js', { shim: none });
  const attempt = spawnSync('npm', ['run', 'build:native'], {
    cwd: busbar,
    encoding: 'utf8',
    env: { ...process.env, CC: 'no-such-compiler' },
  });
  assert.notEqual(attempt.status, 0);
  assert.match(`${attempt.stdout}${attempt.stderr}`, /there is no C compiler \(no-such-compiler\)/);
  expectApp(place, 'app.js', { shim: none });
  renameSync(`${place}/node_modules/node-gyp-build`, `${place}/node_modules/elsewhere`);
  expectApp(place, 'app.js', { shim: /^the package node-gyp-build is not installed$/ });
  assert.ok(readFileSync(`${busbar}/package.json`, 'utf8').includes('"build:native"'));
}
