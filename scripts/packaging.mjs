// SPDX-License-Identifier: MIT
/**
 * `npm run test:packaging`: the tarball, installed, compiled and bundled in each way that users do,
 * and run: test/packaging/app.ts, and programs from the guides. Needs the registry once, for the
 * tools of test/packaging.
 *
 * `npm run test:more` runs the cases that need no tools but the repository's own, as its gate
 * `packaging`; with `--tools` this runs the others. Other arguments choose cases by the beginnings
 * of their names.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import { ROOT } from './files.mjs';

const PLACE = `${ROOT}build/packaging`;
const TOOLS = `${PLACE}/tools`;
const MANIFEST = ['package.json', 'package-lock.json', '.npmrc'];

/**
 * Runs the cases whose names begin so: those that need tools of their own, the others, or, where
 * `tools` is undefined, all.
 */
export async function runPackaging({ tools = undefined, chosen = [] }) {
  // Not before: what the cases expect depends on what the build made.
  const { CASES } = await import('../test/packaging/cases.mjs');
  const tarball = pack();
  const names = Object.keys(CASES).filter(
    (name) => chosen.length === 0 || chosen.some((start) => name.startsWith(start)),
  );
  const cases = names.filter((name) => {
    return tools === undefined || tools === (CASES[name].tools === true);
  });
  if (cases.some((name) => CASES[name].tools)) installTools();
  const folder = mkdtempSync(`${tmpdir()}/busbar-packaging-`);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    for (const [index, name] of cases.entries()) {
      const startMs = performance.now();
      const problem = await outcomeOf(CASES[name], { place: `${folder}/${index}`, tarball });
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      console.log(`${problem === '' ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
      if (problem !== '') console.error(problem);
      counts[problem === '' ? 'passed' : 'failed']++;
    }
  } finally {
    // A case may have made folders read-only.
    spawnSync('chmod', ['-R', 'u+w', folder]);
    rmSync(folder, { recursive: true, force: true });
  }
  return { ...counts, note: `${counts.passed} passed, ${counts.failed} failed` };
}

/** What went wrong, '' if nothing did. */
async function outcomeOf({ run }, { place, tarball }) {
  mkdirSync(place, { recursive: true });
  try {
    await run({ place, tarball, tools: TOOLS });
    return '';
  } catch (error) {
    return error.stack ?? String(error);
  }
}

/** The tarball of the present build; `npm run prepack` is the caller's. */
function pack() {
  mkdirSync(PLACE, { recursive: true });
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', PLACE];
  const { status, stdout, stderr } = spawnSync('npm', args, { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm pack failed: ${stderr}`);
  return `${PLACE}/${JSON.parse(stdout)[0].filename}`;
}

/** Installs what test/packaging/package.json names, if that has changed. */
function installTools() {
  const same = (name) => {
    const installed = `${TOOLS}/${name}`;
    if (!existsSync(installed)) return false;
    return (
      readFileSync(installed, 'utf8') === readFileSync(`${ROOT}test/packaging/${name}`, 'utf8')
    );
  };
  if (existsSync(`${TOOLS}/node_modules`) && MANIFEST.every(same)) return;
  mkdirSync(TOOLS, { recursive: true });
  for (const name of MANIFEST) copyFileSync(`${ROOT}test/packaging/${name}`, `${TOOLS}/${name}`);
  const args = ['ci', '--ignore-scripts', '--no-fund', '--no-audit'];
  const { status } = spawnSync('npm', args, {
    cwd: TOOLS,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) {
    rmSync(TOOLS, { recursive: true, force: true });
    throw new Error('the tools of test/packaging cannot be installed');
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const npm = spawnSync('npm', ['run', 'prepack'], { cwd: ROOT, encoding: 'utf8' });
  if (npm.status !== 0) throw new Error(`${npm.stdout}${npm.stderr}`);
  const chosen = process.argv.slice(2).filter((argument) => argument !== '--tools');
  const options = process.argv.includes('--tools') ? { tools: true, chosen } : { chosen };
  console.log(`Node ${process.version}`);
  const { passed, failed } = await runPackaging(options);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
