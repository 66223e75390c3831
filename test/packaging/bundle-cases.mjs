// SPDX-License-Identifier: MIT
/**
 * Bundlers: busbar outside of the bundle, where everything works, and inside of it, where there is
 * no shim, and executors need a program: the bundle itself, or `executor-thread.js` beside it.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { build as esbuild } from 'esbuild';
import {
  appAs,
  expectApp,
  IN_BUNDLE,
  install,
  mustRun,
  SELF_URL,
  toolOf,
  write,
} from './project.mjs';

export const BUNDLE_CASES = {
  'esbuild: ES modules, busbar inside': {
    run: (setting) => inside(setting, { format: 'esm' }),
  },
  'esbuild: CommonJS, busbar inside': {
    run: (setting) =>
      inside(setting, {
        format: 'cjs',
        define: { 'import.meta.url': 'SELF_URL' },
        banner: { js: SELF_URL },
      }),
  },
  'esbuild: code splitting, the program of the threads beside': { run: split },
  'esbuild: busbar outside': {
    async run(setting) {
      const place = project(setting);
      await bundle(place, { entryPoints: ['app.js'], packages: 'external' });
      expectApp(place, 'out/app.js');
    },
  },
  'vite: ssr build': { tools: true, run: (setting) => vite(setting, { ssr: 'app.js' }) },
  'vite: library, busbar outside': {
    tools: true,
    run: (setting) =>
      vite(setting, { lib: LIBRARY, rolldownOptions: { external: /^(node:|busbar)/ } }),
  },
  'vite: library, busbar inside': {
    tools: true,
    run: (setting) =>
      vite(setting, { lib: LIBRARY, rolldownOptions: { external: /^node:/ } }, IN_BUNDLE),
  },
  'webpack: busbar outside': { tools: true, run: (setting) => packed(setting, 'webpack', true) },
  'webpack: busbar inside': { tools: true, run: (setting) => packed(setting, 'webpack', false) },
  'webpack: busbar inside, moved, with places of the build in it': { tools: true, run: moved },
  'rspack: busbar outside': {
    tools: true,
    run: (setting) => packed(setting, '@rspack/core', true),
  },
  'rspack: busbar inside': {
    tools: true,
    run: (setting) => packed(setting, '@rspack/core', false),
  },
};

const LIBRARY = { entry: 'app.js', formats: ['es'], fileName: 'app' };

function project(setting) {
  const place = install(setting);
  write(place, 'app.js', appAs('esm'));
  return place;
}

function bundle(place, options) {
  return esbuild({
    absWorkingDir: place,
    outdir: `${place}/out`,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
    ...options,
  });
}

/** One file that needs nothing beside it: run where there is no node_modules. */
async function inside(setting, options) {
  const place = project(setting);
  await bundle(place, { entryPoints: ['app.js'], ...options });
  const { format } = options;
  expectApp(alone(place, format === 'cjs' ? 'commonjs' : 'module'), 'app.js', { shim: IN_BUNDLE });
}

/** Puts what was built where nothing else is. */
function alone(place, type) {
  const elsewhere = `${place}-alone`;
  mkdirSync(elsewhere);
  cpSync(`${place}/out`, elsewhere, { recursive: true });
  write(elsewhere, 'package.json', JSON.stringify({ type }));
  rmSync(place, { recursive: true });
  return elsewhere;
}

async function split(setting) {
  const place = project(setting);
  await bundle(place, {
    entryPoints: ['app.js', 'busbar/executor-thread'],
    splitting: true,
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
  });
  const elsewhere = alone(place, 'module');
  expectApp(elsewhere, 'app.js', { shim: IN_BUNDLE });
  // The code is shared, and the entry is no longer the file that starts the threads.
  rmSync(`${elsewhere}/executor-thread.js`);
  const lacks = /the bundle lacks executor-thread\.js, see "Bundles" in the README of busbar$/;
  expectApp(elsewhere, 'app.js', { shim: IN_BUNDLE, handled: lacks });
}

async function vite(setting, options, shim) {
  const place = project(setting);
  const { build } = await toolOf(setting, 'vite');
  await build({
    root: place,
    logLevel: 'error',
    build: { outDir: 'out', target: 'node20', minify: false, ...options },
  });
  expectApp(place, 'out/app.js', shim === undefined ? {} : { shim });
}

async function packed(setting, name, isOutside) {
  const place = project(setting);
  await pack(setting, name, { place, entry: { app: './app.js' }, isOutside });
  if (isOutside) expectApp(place, 'out/app.js');
  else expectApp(alone(place, 'module'), 'app.js', { shim: IN_BUNDLE });
}

/** Bundles with webpack or what is called like it, into `place`/out. */
export async function pack(setting, name, { place, entry, isOutside }) {
  const tool = await toolOf(setting, name);
  const run = tool.rspack ?? tool.webpack ?? tool.default;
  const options = {
    context: place,
    mode: 'production',
    target: 'node20',
    entry,
    output: {
      path: `${place}/out`,
      filename: '[name].js',
      module: true,
      chunkFormat: 'module',
      library: { type: 'module' },
    },
    experiments: { outputModule: true },
    optimization: { minimize: false },
    // Else the place of the source stands in the bundle, as it was on this machine; and webpack
    // replaces `new Worker(new URL(import.meta.url))` by a call of what is not there.
    module: { parser: { javascript: { importMeta: false, worker: false } } },
    externalsType: 'module',
    ...(isOutside ? { externals: /^busbar(\/|$)/ } : {}),
  };
  const stats = await new Promise((resolve, reject) => {
    run(options, (error, result) => (error ? reject(error) : resolve(result)));
  });
  assert.equal(stats.hasErrors(), false, stats.toString());
}

const PROBE = `
  import { ExecutorGroup } from 'busbar/executor';
  import { native } from 'busbar/native';
  import { BufferPool } from 'busbar/pool';
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 16, maxThreads: 2 });
  ExecutorGroup.start({ pool, module: 'data:text/javascript,', count: 1 }).catch(({ message }) => {
    console.log(JSON.stringify({ message, reason: native.features.udp.reason }));
  });
`;

/** By default webpack writes where a file was into the bundle; then it is not there any more. */
async function moved(setting) {
  const place = project(setting);
  write(place, 'probe.js', PROBE);
  const { default: webpack } = await toolOf(setting, 'webpack');
  const output = { path: `${place}/out`, filename: 'app.js' };
  const stats = await new Promise((resolve, reject) => {
    const options = { context: place, mode: 'production', target: 'node20', entry: './probe.js' };
    webpack({ ...options, output }, (error, result) => (error ? reject(error) : resolve(result)));
  });
  assert.equal(stats.hasErrors(), false, stats.toString());
  const elsewhere = alone(place, 'commonjs');
  const { message, reason } = JSON.parse(mustRun(process.execPath, ['app.js'], elsewhere).stdout);
  assert.match(message, /the bundle lacks executor-thread\.js/);
  assert.match(reason, IN_BUNDLE);
}
