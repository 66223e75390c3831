// SPDX-License-Identifier: MIT
/** Package managers, offline: the one dependency is a tarball beside ours. */

import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync } from 'node:fs';
import { ROOT } from '../../scripts/files.mjs';
import { appAs, expectApp, mustRun, write } from './project.mjs';
import { expectCommands, expectStranger } from './stranger-cases.mjs';

export const MANAGER_CASES = {
  'npm: installed, and npx busbar': { run: npm },
  'pnpm: its symbolic links': { tools: true, run: pnpm },
  'yarn: plug and play': { tools: true, run: yarn },
};

/** A project that names both tarballs, for any manager. */
function project({ place, tarball }, more) {
  copyFileSync(tarball, `${place}/busbar.tgz`);
  const source = `${ROOT}node_modules/node-gyp-build`;
  mustRun('npm', ['pack', source, '--ignore-scripts', '--pack-destination', place], place);
  const loader = readdirSync(place).find((name) => name.startsWith('node-gyp-build'));
  const manifest = {
    name: 'reader',
    private: true,
    type: 'module',
    dependencies: { busbar: 'file:./busbar.tgz' },
    ...more(`file:./${loader}`),
  };
  write(place, 'package.json', JSON.stringify(manifest));
  write(place, 'app.js', appAs('esm'));
}

async function npm(setting) {
  const { place } = setting;
  project(setting, (loader) => ({ overrides: { 'node-gyp-build': loader } }));
  mustRun('npm', ['install', '--offline', '--no-audit', '--no-fund'], place);
  await expectCommands(place);
  expectStranger(place);
}

function pnpm(setting) {
  const { place, tools } = setting;
  project(setting, (loader) => ({ pnpm: { overrides: { 'node-gyp-build': loader } } }));
  const args = ['install', '--offline', '--store-dir', `${place}/store`];
  mustRun(process.execPath, [`${tools}/node_modules/pnpm/bin/pnpm.cjs`, ...args], place);
  assert.ok(!existsSync(`${place}/node_modules/node-gyp-build`), 'pnpm hoists nothing');
  expectApp(place, 'app.js');
  expectStranger(place);
}

function yarn(setting) {
  const { place, tools } = setting;
  project(setting, (loader) => ({ resolutions: { 'node-gyp-build': loader } }));
  const settings = [
    'nodeLinker: pnp',
    'enableTelemetry: false',
    'enableNetwork: false',
    'enableScripts: false',
    'enableImmutableInstalls: false',
    `globalFolder: ${place}/global`,
    'pnpEnableEsmLoader: true',
  ];
  write(place, '.yarnrc.yml', `${settings.join('\n')}\n`);
  write(place, 'yarn.lock', '');
  const program = `${tools}/node_modules/@yarnpkg/cli-dist/bin/yarn.js`;
  mustRun(process.execPath, [program, 'install'], place, { CI: '' });
  assert.ok(existsSync(`${place}/.pnp.cjs`));
  assert.ok(!existsSync(`${place}/node_modules/busbar`));
  const flags = ['--require', './.pnp.cjs', '--loader', './.pnp.loader.mjs'];
  expectApp(place, 'app.js', { flags, env: {} });
  expectStranger(place, flags);
}
