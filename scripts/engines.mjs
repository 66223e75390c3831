// SPDX-License-Identifier: MIT
/**
 * `npm run test:engines [-- NAME…] [--core] [--only PATH]`: the tests on other engines.
 *
 * - node22, node24, node26: all tests, by vitest on that engine.
 * - bun, deno: tests of the sources (base … channel, executors, links, bus) as they stand, each
 *   file in a process of its own, two at a time, by the small runner in test/engines/vitest.ts.
 * - chromium: those of base … channel that need nothing of Node, each file in a worker of a
 *   cross-origin isolated page, two at a time.
 * - arm64: those of base … channel and of the shim, like bun, on Node for Arm (engine-arm64.mjs);
 *   only if it is named, since an emulated processor is slow.
 *
 * Installs the engines that test/engines/package.json names into build/engines at the first time;
 * chromium and qemu-user are the system's. `--core` runs the tests of base … channel only, `--only
 * PATH` those whose paths begin so. Names at the end once more what failed. Ends with 1 if a test
 * fails, or an engine that was named is not to be had.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { delimiter, dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { leftOutOf } from '../test/engines/left-out.mjs';
import { build } from './build.mjs';
import { buildNative } from './build-native.mjs';
import { ARM64_ENV, ARM64_NODE, compileShim, prepareArm64 } from './engine-arm64.mjs';
import { failureLines, forgetUnhandled, unhandledFailures } from './failures.mjs';
import { listFiles, ROOT } from './files.mjs';
import { installEngines, PLACE, programOf } from './install-engines.mjs';

const RUNNER = `${PLACE}vitest.mjs`;
const FILE_MS_MAX = 240_000;
/** Files at a time, on engines on which each has a process or a worker of its own. */
const AT_A_TIME = 2;
/** Random streams per codec; `npm test` and a whole run on a Node try more. */
const CORE_FUZZ_RUNS = '100000';
const OTHER_FUZZ_RUNS = '20000';

const SOURCES = ['base', 'pool', 'packet', 'writer', 'framer', 'sync', 'channel'];
const UPPER = ['executor', 'link', 'bus'];
/** Tests and their helpers, in which these names stand for ours in a page. */
const TEST_CODE = /\.test\.ts$|\/test\/[^/]+\.ts$|\/test\/fuzz\/[^/]+\.ts$/;
const GLOBALS = `${ROOT}test/engines/page-globals.mjs`;

const ENGINES = {
  node22: { run: runNode },
  node24: { run: runNode },
  node26: { run: runNode },
  bun: {
    run: runFiles,
    flags: () => [`--tsconfig-override=${PLACE}tsconfig.json`],
  },
  deno: {
    run: runFiles,
    flags: () => ['run', '-A', '--no-check', `--import-map=${PLACE}imports.json`],
  },
  chromium: { run: runChromium },
  arm64: {
    run: runArm64,
    flags: () => ['--expose-gc'],
    env: {
      ...ARM64_ENV,
      // For the programs that a test starts, too.
      NODE_OPTIONS: `--import=${ROOT}test/engines/node-hooks.mjs`,
      BUSBAR_TEST_MS_MAX: '600000',
    },
    fileMsMax: 20 * 60_000,
  },
};
/** What is of the system, and left out where it is not there. */
const OF_THE_SYSTEM = ['chromium', 'arm64'];

const SHIM = { file: 'native', test: 'the shim compiles', text: 'see above' };

const BUNDLE = {
  absWorkingDir: ROOT,
  bundle: true,
  format: 'esm',
  platform: 'neutral',
  mainFields: ['module', 'main'],
  target: 'es2023',
  logLevel: 'silent',
  // Error texts have the names of classes.
  keepNames: true,
  // package.json says of all files but two that they have no effect.
  ignoreAnnotations: true,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { core: { type: 'boolean' }, only: { type: 'string', multiple: true } },
});
const unknown = positionals.filter((name) => !Object.hasOwn(ENGINES, name));
if (unknown.length > 0) {
  console.error(`No such engine: ${unknown.join(', ')}. ${Object.keys(ENGINES).join(', ')}`);
  process.exit(2);
}

const usual = Object.keys(ENGINES).filter((name) => name !== 'arm64');
const chosen = positionals.length > 0 ? positionals : usual;
if (chosen.some((name) => !OF_THE_SYSTEM.includes(name)) && !installEngines()) {
  fail('the engines cannot be installed', chosen.length);
}
if (!(await build())) fail('the build', 1);
mkdirSync(PLACE, { recursive: true });
await bundleRunner();
const rows = [];
for (const name of chosen) {
  const beginMs = performance.now();
  const row = { name, ...(await ENGINES[name].run(name, ENGINES[name])) };
  rows.push({ ...row, seconds: Math.round((performance.now() - beginMs) / 1000) });
  show(rows.at(-1));
}
if (chosen.some((name) => ENGINES[name].run === runNode)) buildNative({ force: true });
showTable();
const failures = rows.flatMap(({ name, outcomes }) =>
  outcomes
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ file, test, text }) => ({ place: name, test: `${file} > ${test}`, text })),
);
for (const line of failureLines(failures)) console.log(line);
const failed = failures.length;
const passed = rows.reduce((sum, row) => sum + count(row, 'passed'), 0);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

/** Ends the run, which has not begun. */
function fail(what, count) {
  for (const line of failureLines([{ place: what, test: '', text: '' }])) console.log(line);
  console.log(`0 passed, ${count} failed`);
  process.exit(1);
}

/** The stand-in for vitest, and what leads an import of it there. */
async function bundleRunner() {
  const { build: bundle } = await import('esbuild');
  await bundle({ ...BUNDLE, entryPoints: ['test/engines/vitest.ts'], outfile: RUNNER });
  const paths = { vitest: [RUNNER], busbar: [`${ROOT}src/index.ts`] };
  const compilerOptions = { baseUrl: ROOT, paths: { ...paths, 'busbar/*': ['src/*/index.ts'] } };
  writeFileSync(`${PLACE}tsconfig.json`, JSON.stringify({ compilerOptions }));
  const imports = { vitest: pathToFileURL(RUNNER), busbar: pathToFileURL(`${ROOT}src/index.ts`) };
  for (const folder of [...SOURCES, ...UPPER, 'native']) {
    imports[`busbar/${folder}`] = pathToFileURL(`${ROOT}src/${folder}/index.ts`);
  }
  writeFileSync(`${PLACE}imports.json`, JSON.stringify({ imports }));
}

/** Test files of these folders, or those that were asked for among them. */
function testFiles(folders, place = 'src/') {
  const { only } = values;
  return folders
    .flatMap((folder) => listFiles(place + folder))
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => only === undefined || only.some((begin) => path.startsWith(begin)));
}

/** The shim, compiled with the headers of this engine, then vitest's own run on it. */
function runNode(name) {
  const node = programOf(name);
  const report = `${PLACE}${name}.json`;
  rmSync(report, { force: true });
  const paths = values.only ?? (values.core ? SOURCES.map((at) => `src/${at}`) : []);
  const vitest = `${ROOT}node_modules/vitest/vitest.mjs`;
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const options = {
    cwd: ROOT,
    env: {
      ...process.env,
      PATH: `${dirname(node)}${delimiter}${process.env.PATH}`,
      ...(values.core ? { BUSBAR_FUZZ_RUNS: CORE_FUZZ_RUNS } : {}),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  };
  const version = versionOf(node);
  const shim = spawnSync(node, [`${ROOT}scripts/build-native.mjs`, '--force'], options);
  const compiled = { ...SHIM, outcome: shim.status === 0 ? 'passed' : 'failed' };
  forgetUnhandled();
  const { status } = spawnSync(node, [vitest, 'run', ...paths, ...reporters], options);
  const unhandled = unhandledFailures(name).map(({ test, text }) => broken(test, text));
  const ended = unhandled.length > 0 ? unhandled : [broken('vitest', `ended with ${status}`)];
  if (!existsSync(report)) return { version, outcomes: [compiled, ...ended] };
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
  const outcomes = testResults.flatMap((file) => {
    const path = file.name.replace(ROOT, '');
    const tests = file.assertionResults.map(({ fullName, status: state, failureMessages }) => {
      const outcome = { passed: 'passed', failed: 'failed' }[state] ?? 'left out';
      return { file: path, test: fullName, outcome, text: failureMessages?.[0] ?? '' };
    });
    if (file.status === 'failed' && !tests.some(({ outcome }) => outcome === 'failed'))
      tests.push({ ...broken(path, file.message), file: path });
    return tests;
  });
  if (status !== 0 && !outcomes.some(({ outcome }) => outcome === 'failed'))
    outcomes.push(...ended);
  return { version, outcomes: [compiled, ...outcomes] };
}

async function runFiles(name, engine) {
  const files = testFiles(values.core ? SOURCES : [...SOURCES, ...UPPER]);
  const program = programOf(name);
  return { version: versionOf(program), outcomes: await runEach(name, engine, program, files) };
}

async function runArm64(name, engine) {
  const reason = prepareArm64();
  if (reason !== undefined) return lacking(name, reason);
  const shim = { ...SHIM, outcome: compileShim() ? 'passed' : 'failed' };
  const files = testFiles([...SOURCES, 'native']).concat(testFiles(['native'], 'test/'));
  const outcomes = [shim, ...(await runEach(name, engine, ARM64_NODE, files))];
  return { version: versionOf(ARM64_NODE), outcomes };
}

/** Each file in a process of its own. */
async function runEach(name, engine, program, files) {
  const outcomes = [];
  const left = [...files];
  const work = async () => {
    for (let file = left.shift(); file !== undefined; file = left.shift()) {
      const beginMs = performance.now();
      outcomes.push(...(await runFile(name, engine, program, file)));
      const tookMs = performance.now() - beginMs;
      if (!leftOutOf(name, file).some(isWhole)) showFile(name, file, outcomes, tookMs);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return outcomes;
}

async function runFile(name, { flags, env = {}, fileMsMax = FILE_MS_MAX }, program, file) {
  const leftOut = leftOutOf(name, file);
  const whole = leftOut.find(isWhole);
  if (whole !== undefined)
    return [{ file, test: 'the file', outcome: 'left out', text: whole.reason }];
  const args = [...flags(), `${ROOT}test/engines/run-file.mjs`, ROOT + file];
  const { stdout, stderr, ended } = await outputOf(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: fileMsMax,
    killSignal: 'SIGKILL',
    maxBuffer: 1 << 27,
    env: {
      ...process.env,
      ...env,
      NO_COLOR: '1',
      BUSBAR_BUILT: '1',
      BUSBAR_FUZZ_RUNS: OTHER_FUZZ_RUNS,
      BUSBAR_LEFT_OUT: JSON.stringify(leftOut),
    },
  });
  const lines = stdout.split('\n').filter((line) => line.startsWith('@@ '));
  const outcomes = lines
    .filter((line) => line !== '@@ end')
    .map((line) => ({ ...JSON.parse(line.slice(3)), file }));
  if (lines.at(-1) === '@@ end') return outcomes;
  return [
    ...outcomes,
    { ...broken('the file', `ended with ${ended} ${stderr.slice(-2000)}`), file },
  ];
}

/** What a program prints, and how it ended. */
function outputOf(program, args, options) {
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) =>
      resolve({ stdout, stderr, ended: error?.signal ?? error?.code ?? 0 }),
    ).stdin.end();
  });
}

function isWhole({ tests, said }) {
  return tests === undefined && said === undefined;
}

function broken(test, text) {
  return { file: '', test, outcome: 'failed', text };
}

/** An engine that is not there: a failure only if it was named. */
function lacking(name, text) {
  const outcome = positionals.includes(name) ? 'failed' : 'left out';
  return { version: '', outcomes: [{ ...broken(name, text), outcome }] };
}

function versionOf(engine) {
  const { stdout } = spawnSync(engine, ['--version'], { encoding: 'utf8' });
  return /[\d.]+\d/.exec(stdout ?? '')?.[0] ?? '';
}

async function runChromium(name) {
  const program = ['chromium', 'chromium-browser', 'google-chrome'].find((each) => {
    return spawnSync(each, ['--version']).status === 0;
  });
  if (program === undefined) {
    return lacking(name, 'chromium is not installed: apt-get install chromium');
  }
  const outcomes = [];
  const bundles = new Map();
  for (const file of testFiles(SOURCES)) {
    const { text, needs } = await bundleForPage(file);
    const missing = needs.length > 0 ? `needs ${needs.join(', ')}` : undefined;
    const reason = leftOutOf(name, file).find(isWhole)?.reason ?? missing;
    if (reason === undefined) bundles.set(`${file.replaceAll('/', '-')}.js`, { file, text });
    else outcomes.push({ file, test: 'the file', outcome: 'left out', text: reason });
  }
  const found = await runPage(program, bundles);
  outcomes.push(...found);
  return { version: versionOf(program), outcomes };
}

/** A test file with all that it imports; `needs` are modules of Node. */
async function bundleForPage(file) {
  const { build: bundle } = await import('esbuild');
  const needs = new Set();
  const contents = [
    `import { runTests } from 'vitest';`,
    `import './${file}';`,
    'await runTests((outcome) => postMessage(outcome), ' +
      `${JSON.stringify(leftOutOf('chromium', file))});`,
    `postMessage('end');`,
  ].join('\n');
  const plugin = {
    name: 'page',
    setup({ onLoad, onResolve }) {
      onLoad({ filter: TEST_CODE }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        const names = ['Buffer', 'process', 'setImmediate'].filter((name) => text.includes(name));
        const head = `import { ${names.join(', ')} } from '${GLOBALS}';\n`;
        return { contents: head + text, loader: 'ts' };
      });
      onResolve({ filter: /^vitest$/ }, () => ({ path: RUNNER }));
      onResolve({ filter: /^(node:|(fs|path|esbuild|typescript|wabt)$)/ }, ({ path }) => {
        needs.add(path);
        return { path, external: true };
      });
    },
  };
  const { outputFiles } = await bundle({
    ...BUNDLE,
    stdin: { contents, resolveDir: ROOT },
    write: false,
    plugins: [plugin],
  });
  return { text: outputFiles[0].text, needs: [...needs] };
}

/** Serves the page and the bundles, and returns what the page sends. */
async function runPage(program, bundles) {
  const outcomes = [];
  const left = new Set(bundles.keys());
  const page = readFileSync(`${ROOT}test/engines/run-page.mjs`, 'utf8');
  const html = `<!doctype html><script type="module">${page}</script>`;
  let finish;
  const finished = new Promise((resolve) => {
    finish = resolve;
  });
  const server = createServer(async (request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    const name = request.url.slice(1);
    if (request.method === 'POST') {
      let body = '';
      for await (const chunk of request) body += chunk;
      const key = name.replace('result/', '');
      left.delete(key);
      const file = bundles.get(key)?.file;
      if (file !== undefined) {
        const { outcomes: own, tookMs } = JSON.parse(body);
        for (const each of own) outcomes.push({ file, ...each });
        showFile('chromium', file, outcomes, tookMs);
      }
      response.end();
      if (key === 'end') finish();
    } else if (name === '') response.setHeader('Content-Type', 'text/html').end(html);
    else if (name === 'files')
      response.end(JSON.stringify({ names: [...bundles.keys()], atATime: AT_A_TIME }));
    else response.setHeader('Content-Type', 'text/javascript').end(bundles.get(name)?.text ?? '');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const profile = `${PLACE}profile`;
  rmSync(profile, { recursive: true, force: true });
  const browser = spawn(
    program,
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      `--user-data-dir=${profile}`,
      `http://127.0.0.1:${server.address().port}/`,
    ],
    { stdio: 'ignore' },
  );
  browser.once('exit', finish);
  const timer = setTimeout(finish, FILE_MS_MAX + 20_000 * bundles.size);
  await finished;
  clearTimeout(timer);
  browser.kill('SIGKILL');
  server.closeAllConnections();
  server.close();
  for (const name of left)
    outcomes.push({
      ...broken('the file', 'the page did not get there'),
      file: bundles.get(name).file,
    });
  return outcomes;
}

function count({ outcomes }, kind) {
  return outcomes.filter(({ outcome }) => outcome === kind).length;
}

/** What became of a file's tests, as soon as it has ended. */
function showFile(name, file, outcomes, tookMs) {
  const own = { outcomes: outcomes.filter((each) => each.file === file) };
  const counts = `${count(own, 'passed')} passed, ${count(own, 'failed')} failed`;
  console.log(`${name}: ${file}: ${counts} (${(tookMs / 1000).toFixed(1)} s)`);
  for (const { test, outcome, text } of own.outcomes) {
    if (outcome === 'failed') console.error(`FAILED ${test}\n${text}\n`);
  }
}

/** Why tests of an engine were left out. */
function show({ name, outcomes }) {
  const reasons = new Map();
  for (const { file, outcome, text } of outcomes) {
    if (outcome !== 'left out') continue;
    const { tests, files } = reasons.get(text) ?? { tests: 0, files: new Set() };
    reasons.set(text, { tests: tests + 1, files: files.add(file) });
  }
  for (const [reason, { tests, files }] of reasons) {
    const where = [...files].slice(0, 3).join(', ') + (files.size > 3 ? ', …' : '');
    console.log(`${name}: ${tests} left out: ${reason || 'skipped'} (${where})`);
  }
}

function showTable() {
  const kinds = ['passed', 'failed', 'left out'];
  const head = [
    'engine'.padEnd(10),
    'version'.padEnd(16),
    ...[...kinds, 'seconds'].map((kind) => kind.padStart(9)),
  ];
  console.log(`\n${head.join('')}`);
  for (const row of rows) {
    const figures = [...kinds.map((kind) => count(row, kind)), row.seconds];
    const counts = figures.map((figure) => String(figure).padStart(9));
    console.log([row.name.padEnd(10), row.version.padEnd(16), ...counts].join(''));
  }
  writeFileSync(
    `${PLACE}last.json`,
    JSON.stringify(
      rows.map((row) => [row.name, row.version, ...kinds.map((kind) => count(row, kind))]),
    ),
  );
}
