// SPDX-License-Identifier: MIT
/**
 * `npm test`: the checks that a change must pass, gate by gate, what failed once more at the end,
 * and one line with the sum. `npm run test:more`: the gates for which it has no time.
 *
 * A gate that fails does not stop the others. Each counts as one, save the tests, which count one
 * by one. Nothing may be skipped: a skipped test fails the run. `npm test -- lint types` runs only
 * the gates named. `npm run test:without-shim` is the same as if the native shim were not there;
 * the gate `fallbacks` does so with the tests of what would use it. `npm run test:plain-memory` is
 * the same with pools in a plain SharedArrayBuffer, as where WebAssembly memory cannot be had; the
 * gate `plain` does so with the tests of base … channel.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { format } from 'node:util';
import { checkApiReports } from './api-report.mjs';
import { build } from './build.mjs';
import { checkSite } from './check-site.mjs';
import { failureLines, failuresOf, forgetUnhandled, unhandledFailures } from './failures.mjs';
import { listFiles, ROOT } from './files.mjs';
import { runPackaging } from './packaging.mjs';
import { sanitize, whyNotSanitized } from './sanitize-native.mjs';

/** A gate returns `true`, `false` or counts, and prints what is wrong by `console.error`. */
const GATES = {
  build: () => build(),
  tests: () => runTests('tests', ['--project=shared', '--project=alone']),
  long: () => runTests('long', ['--project=long']),
  fallbacks: () => runTests('fallbacks', SHIM_USERS, SWITCHED_OFF),
  plain: () => runTests('plain', CORE, PLAIN),
  types: () => runs('typescript/bin/tsc', '-p', 'tsconfig.json'),
  lint: () => runs('@biomejs/biome/bin/biome', 'check', '--error-on-warnings'),
  api: () => checkApiReports(),
  documentation: () => runsNode([`${ROOT}scripts/run-documentation.mjs`]),
  site: () => runs('typedoc/bin/typedoc') && checkSite(),
  sanitizers: runSanitizers,
  package: checkPackage,
  // What it packs must have the shim, if there is one.
  packaging: () =>
    runsNode([`${ROOT}scripts/prebuild-native.mjs`]) && runPackaging({ tools: false }),
  benchmarks: runBenchmarks,
};

/** Gates of `npm run test:more`: `npm test` runs one of them only if it is named. */
const MORE = ['long', 'fallbacks', 'plain', 'site', 'sanitizers', 'packaging', 'benchmarks'];

/** Gates that keep one core busy: the two lists of a pair run at a time, each in a process. */
const PAIRS = [
  [['types', 'lint', 'api', 'package'], ['documentation']],
  [['site'], ['sanitizers', 'packaging']],
];

/** Tests of what works in another way where there is no shim. */
const SHIM_USERS = ['src/native', 'test/native', 'src/link', 'test/link', 'test/executor/life'];

/** Tests of what copies or searches in a pool itself. */
const CORE = ['base', 'pool', 'packet', 'writer', 'framer', 'sync', 'channel'].map(
  (folder) => `src/${folder}`,
);

/** What a download may cost; scripts/trim-library.mjs says how it stays below. */
const TARBALL_BYTES_MAX = 350_000;

const SWITCHED_OFF = { BUSBAR_NATIVE: 'off', BUSBAR_TEST_NATIVE: '' };

/** Searches by byte are slow there: fewer random streams than on WebAssembly memory. */
const PLAIN = { BUSBAR_MEMORY: 'plain', BUSBAR_FUZZ_RUNS: '100000' };

const ONLY_MORE = '--more';
const WITHOUT_SHIM = '--without-shim';
const PLAIN_MEMORY = '--plain-memory';
/** `--into=FILE`: the run is part of another, which reads there what became of it. */
const INTO = '--into=';
const args = process.argv.slice(2);
const named = args.filter((arg) => !arg.startsWith('--'));
const flags = args.filter((arg) => arg === WITHOUT_SHIM || arg === PLAIN_MEMORY);
const into = args.find((arg) => arg.startsWith(INTO))?.slice(INTO.length);
if (flags.includes(WITHOUT_SHIM)) {
  Object.assign(process.env, SWITCHED_OFF);
  delete GATES.fallbacks;
  delete GATES.sanitizers;
}
if (flags.includes(PLAIN_MEMORY)) {
  Object.assign(process.env, PLAIN);
  delete GATES.plain;
}
const unknown = named.filter((name) => !Object.hasOwn(GATES, name));
if (unknown.length > 0) {
  console.error(
    `No such gate: ${unknown.join(', ')}. There are: ${Object.keys(GATES).join(', ')}.`,
  );
  process.exit(2);
}

const total = { passed: 0, failed: 0, skipped: 0 };
const summary = [];
const failures = [];
const chosen = Object.keys(GATES).filter(isChosen);
const pairs = PAIRS.map((pair) =>
  pair.map((list) => list.filter((name) => chosen.includes(name))),
).filter((pair) => pair.every((list) => list.length > 0));
for (const name of chosen) {
  const pair = pairs.find((lists) => lists.flat().includes(name));
  if (pair === undefined) await runGate(name, GATES[name]);
  else if (pair[0][0] === name) await runBeside(pair);
}
if (into !== undefined) writeFileSync(into, JSON.stringify({ total, summary, failures }));
else showSum();
process.exitCode = total.failed + total.skipped > 0 || total.passed === 0 ? 1 : 0;

/** Without names: all of `npm test`, or, after a build, of `npm run test:more`. */
function isChosen(name) {
  if (named.length > 0) return named.includes(name);
  return name === 'build' || MORE.includes(name) === args.includes(ONLY_MORE);
}

function showSum() {
  console.log(`\n${summary.join('\n')}\n`);
  if (total.skipped > 0) console.log(`${total.skipped} skipped: nothing may be, so the run fails.`);
  for (const line of failureLines(failures)) console.log(line);
  console.log(`${total.passed} passed, ${total.failed + total.skipped} failed`);
}

/** Runs each list of gates in a process of its own, and prints what it has printed at its end. */
async function runBeside(lists) {
  await Promise.all(
    lists.map(async (list, i) => {
      const file = `${ROOT}build/gates-${i}.json`;
      rmSync(file, { force: true });
      const child = spawn(
        process.execPath,
        [import.meta.filename, ...list, ...flags, INTO + file],
        { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let printed = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text) => {
          printed += text;
        });
      }
      const [code, signal] = await once(child, 'close');
      console.log(printed.trimEnd());
      const text = `ended with ${signal ?? code}`;
      const broken = { total: one(false), summary: [], failures: [] };
      if (!existsSync(file)) broken.failures.push({ place: list.join(', '), test: '', text });
      addPart(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : broken);
    }),
  );
}

function addPart(part) {
  for (const key of Object.keys(total)) total[key] += part.total[key];
  summary.push(...part.summary);
  failures.push(...part.failures);
}

async function runGate(name, gate) {
  const startMs = performance.now();
  const before = failures.length;
  const said = [];
  const { error: print } = console;
  console.error = (...values) => {
    said.push(format(...values));
    print(...values);
  };
  let counts;
  try {
    const outcome = await gate();
    counts = typeof outcome === 'boolean' ? one(outcome) : outcome;
  } catch (error) {
    console.error(error);
    counts = one(false);
  } finally {
    console.error = print;
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const isGood = counts.failed + counts.skipped === 0;
  // Tests have been named one by one.
  if (!isGood && failures.length === before)
    failures.push({ place: name, test: '', text: said.join('\n') });
  const verdict = isGood ? 'ok' : 'FAILED';
  const line = `${name.padEnd(14)} ${verdict.padEnd(7)} ${counts.note ?? ''}`.trimEnd();
  summary.push(`${line} (${seconds} s)`);
  console.log(`-- ${summary.at(-1)}`);
  for (const key of Object.keys(total)) total[key] += counts[key];
}

function one(passed) {
  return { passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 };
}

/** Runs a Node program of node_modules, quietly: what it prints is shown only when it fails. */
function runs(program, ...args) {
  return runsNode([`${ROOT}node_modules/${program}`, ...args]);
}

function runsNode(args, options = {}) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
    ...options,
  });
  if (status === 0) return true;
  console.error(`${stdout ?? ''}${stderr ?? ''}`.trimEnd());
  console.error(`${args.join(' ').replaceAll(ROOT, '')} ended with ${signal ?? status}`);
  return false;
}

/** Runs the tests that vitest chooses by `choice`: projects, or beginnings of paths. */
function runTests(place, choice, env = {}) {
  const report = `${ROOT}build/vitest.json`;
  rmSync(report, { force: true });
  forgetUnhandled();
  const vitest = `${ROOT}node_modules/vitest/vitest.mjs`;
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...choice, ...reporters], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  failures.push(...unhandledFailures(place));
  if (!existsSync(report)) {
    console.error(`vitest ended with ${status}, and no report`);
    return one(false);
  }
  const result = JSON.parse(readFileSync(report, 'utf8'));
  failures.push(...failuresOf(result, place));
  const passed = result.numPassedTests;
  const skipped = result.numPendingTests + result.numTodoTests;
  let failed = result.numFailedTests;
  // A file that does not load, or an error outside every test, has no failed test to its name.
  if (failed === 0 && (status !== 0 || !result.success)) {
    console.error(`vitest ended with ${status}`);
    failed = 1;
  }
  const note = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  return { passed, failed, skipped, note };
}

/** Where it cannot be done, prints the reason; fails if BUSBAR_TEST_… requires it. */
function runSanitizers() {
  const reason = whyNotSanitized();
  if (reason === undefined) return sanitize();
  const failed = process.env.BUSBAR_TEST_NATIVE === 'required' ? 1 : 0;
  return { passed: 0, failed, skipped: 0, note: `not run: ${reason}` };
}

/**
 * The tarball as it would be published: what is in it, whether its entry points resolve, and
 * whether it works where it is installed.
 */
function checkPackage() {
  const folder = `${ROOT}build/package`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  // Run separately: its output would mix with the JSON.
  if (npm('run', 'prepack') === undefined) return false;
  const packed = npm('pack', '--json', '--ignore-scripts', '--pack-destination', folder);
  if (packed === undefined) return false;
  const [{ filename, files, size }] = JSON.parse(packed);
  const isSmall = size < TARBALL_BYTES_MAX;
  const sizes = `the tarball has ${size} bytes, and may have ${TARBALL_BYTES_MAX}`;
  if (isSmall) console.log(sizes);
  else console.error(sizes);
  const paths = files.map(({ path }) => path);
  const astray = paths.filter((path) => !isPublished(path));
  for (const path of astray) console.error(`${path} does not belong in the package`);
  const missing = [
    'LICENSE',
    'README.md',
    'dist/index.js',
    'dist/index.d.ts',
    'docs/errors.md',
    'docs/native.md',
    'native/binding.gyp',
    'scripts/build-native.mjs',
  ].filter((path) => !paths.includes(path));
  for (const path of missing) console.error(`${path} is missing in the package`);
  const tarball = `${folder}/${filename}`;
  const lintOk = runs('publint/src/cli.js', 'run', tarball, '--strict');
  const attw = [
    '--profile',
    'esm-only',
    '--no-definitely-typed',
    '--no-emoji',
    '--format',
    'ascii',
  ];
  const typesOk = runs('@arethetypeswrong/cli/dist/index.js', tarball, ...attw);
  const works = checkInstalled(folder, filename);
  return isSmall && astray.length === 0 && missing.length === 0 && lintOk && typesOk && works;
}

/** What a command of npm prints, or undefined if it fails; then the reason is shown. */
function npm(...args) {
  const { status, stdout, stderr } = spawnSync('npm', args, {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status === 0) return stdout;
  console.error(`${stdout ?? ''}${stderr ?? ''}`.trimEnd());
  return undefined;
}

/**
 * Unpacks the tarball where a program of a package of its own finds it: `require` and `import` have
 * to, and the shim has to be there if there was a compiler, also after an attempt to build it anew
 * where there is none.
 */
function checkInstalled(folder, filename) {
  const place = `${folder}/node_modules/busbar`;
  mkdirSync(place, { recursive: true });
  writeFileSync(`${folder}/package.json`, '{ "name": "reader", "private": true }\n');
  const options = { cwd: folder, encoding: 'utf8' };
  const tar = ['-xzf', filename, '--strip-components=1', '-C', 'node_modules/busbar'];
  const unpacked = spawnSync('tar', tar, options);
  if (unpacked.status !== 0) {
    console.error(`the tarball cannot be unpacked: ${unpacked.error ?? unpacked.stderr}`);
    return false;
  }
  const isBuilt = JSON.parse(readFileSync(`${ROOT}build/native.json`, 'utf8')).outcome === 'built';
  const program = `
    const { native } = require('busbar/native');
    const { available, reason } = native.features.threadName;
    if (available !== ${isBuilt}) throw new Error('the shim: ' + (reason || 'it is there'));
    for (const [name, each] of Object.entries(require('busbar'))) {
      if (typeof each === 'function' && each.name !== name) throw new Error(name + ': short');
    }
    import('busbar').then(({ native: same }) => {
      if (same !== native) throw new Error('import and require find two packages');
    });
  `;
  const env = { ...process.env, BUSBAR_NATIVE: '' };
  const finds = () => runsNode(['-e', program], { cwd: folder, env });
  if (!finds()) return false;
  const without = { ...env, CC: 'no-such-compiler' };
  spawnSync(process.execPath, [`${place}/scripts/build-native.mjs`], { env: without });
  return finds();
}

function isPublished(path) {
  if (/\.test\.|tsbuildinfo|\.map$/.test(path)) return false;
  if (/^scripts\/(build-native|files|stamp)\.mjs$/.test(path)) return true;
  if (/^(package\.json|README\.md|LICENSE)$/.test(path)) return true;
  if (/^docs\/(errors|native)\.md$/.test(path)) return true;
  return /^(dist|native|prebuilds)\//.test(path);
}

/** Every benchmark once, with next to no work, so that none can rot. */
function runBenchmarks() {
  if (listFiles('bench').length === 0)
    return { passed: 0, failed: 0, skipped: 0, note: 'none yet' };
  return runsNode([`${ROOT}build/bench/run.js`, '--tiny']);
}
