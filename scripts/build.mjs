// SPDX-License-Identifier: MIT
/**
 * Builds what is out of date: the shim (native → build/Release, by node-gyp, where there is a
 * compiler), the library (src → dist, by tsc) and the programs that import it by its name (bench,
 * broker, examples, test workers → build, by esbuild, one file each, packages outside).
 *
 * `node scripts/build.mjs` builds; `--force` builds even what looks up to date.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { buildNative } from './build-native.mjs';
import { listFiles, ROOT } from './files.mjs';
import { Stamp } from './stamp.mjs';
import { joined, trimLibrary } from './trim-library.mjs';

/** Which sources are programs. `*.worker.ts` and `*.main.ts` are, wherever they stand. */
const PROGRAM = [
  /^bench\/run\.ts$/,
  /^(broker|examples\/[^/]+)\/main\.ts$/,
  /^(bench|broker|examples|test)\/.*\.(worker|main)\.ts$/,
];

/** The oldest Node we run on; newer syntax (`using`) is rewritten. */
const TARGET = 'node20.19';

/** Builds what changed since the last time. False when something does not compile. */
export async function build({ force = false } = {}) {
  requireInstall();
  const shim = buildNative({ force }) !== 'failed';
  const library = await buildLibrary(force);
  const programs = await buildPrograms(force);
  return shim && library && programs;
}

async function buildLibrary(force) {
  const sources = listFiles('src').filter(isLibrarySource);
  const settings = ['package.json', 'tsconfig.json', 'tsconfig.build.json'];
  const inputs = [...sources, ...settings, 'scripts/trim-library.mjs'];
  const programs = sources.map((path) => path.replace(/^src\//, 'dist/').replace(/\.ts$/, '.js'));
  const outputs = joined(programs);
  const stamp = new Stamp('library', inputs, outputs);
  if (!force && stamp.isFresh()) return true;
  if (sources.length === 0) return true;
  stamp.forget();
  removeOthers('dist', outputs);
  const tsc = `${ROOT}node_modules/typescript/bin/tsc`;
  const { status } = spawnSync(process.execPath, [tsc, '-p', `${ROOT}tsconfig.build.json`], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) return false;
  await trimLibrary();
  stamp.write();
  return true;
}

async function buildPrograms(force) {
  const sources = ['bench', 'broker', 'examples', 'test']
    .flatMap(listFiles)
    .filter((path) => /\.ts$/.test(path));
  const entries = sources.filter((path) => PROGRAM.some((pattern) => pattern.test(path)));
  const outputs = entries.map((path) => `build/${path.replace(/\.ts$/, '.js')}`);
  // Programs have parts of the library in them.
  const inputs = [...sources, ...listFiles('src'), 'package.json', 'scripts/build.mjs'];
  const stamp = new Stamp('programs', inputs, outputs);
  if (!force && stamp.isFresh()) return true;
  stamp.forget();
  for (const folder of ['bench', 'broker', 'examples', 'test'])
    removeOthers(`build/${folder}`, outputs);
  if (!(await bundle(entries, { outbase: ROOT, outdir: `${ROOT}build` }))) return false;
  stamp.write();
  return true;
}

/** Bundles each entry (paths relative to the repository) into one file; packages stay imports. */
export async function bundle(entries, { outbase, outdir }) {
  if (entries.length === 0) return true;
  const esbuild = await import('esbuild');
  try {
    await esbuild.build({
      absWorkingDir: ROOT,
      entryPoints: entries,
      outbase,
      outdir,
      bundle: true,
      packages: 'external',
      platform: 'node',
      format: 'esm',
      target: TARGET,
      sourcemap: true,
      logLevel: 'warning',
      // Not the repository's: its `paths` would pull the library's sources into every program.
      tsconfigRaw: { compilerOptions: { target: 'ES2023', verbatimModuleSyntax: true } },
    });
    return true;
  } catch {
    return false; // esbuild has printed what was wrong
  } finally {
    await esbuild.stop();
  }
}

/** Removes the outputs of sources that are gone; `outputs` are the `.js` files that stay. */
function removeOthers(folder, outputs) {
  if (!existsSync(ROOT + folder)) return;
  const kept = new Set(outputs.map(stem));
  for (const entry of readdirSync(ROOT + folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = `${entry.parentPath}/${entry.name}`.slice(ROOT.length);
    if (!kept.has(stem(path))) rmSync(ROOT + path);
  }
}

function stem(path) {
  return path.replace(/(\.d)?\.(js|ts)(\.map)?$/, '');
}

function isLibrarySource(path) {
  return /\.ts$/.test(path) && !/\.test\.ts$/.test(path);
}

function requireInstall() {
  if (existsSync(`${ROOT}node_modules/typescript`) && existsSync(`${ROOT}node_modules/esbuild`))
    return;
  console.error('The build needs the development dependencies: run `npm ci` first.');
  process.exit(1);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = (await build({ force: process.argv.includes('--force') })) ? 0 : 1;
}
