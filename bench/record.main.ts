// SPDX-License-Identifier: MIT
/**
 * `npm run bench:record`: runs all benchmarks one after the other, on several engines, and keeps
 * their figures, from which `npm run bench:report` writes the documents.
 */

import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { delimiter, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readCount, runProgram, UsageError } from './command-line.ts';
import { engineOf } from './engine.ts';

const USAGE = `Runs all benchmarks, and keeps the figures as JSON; needs a quiet machine.

  npm run bench:record -- [options]

  --engine NAME       node (the one that runs this), node22, node24, node26, bun, deno or a path
                      (repeatable); default: node, node24, node26
  --only GLOB         only cases whose id matches (repeatable); then neither broker nor scaling
  --rounds N          of the cases, default 1
  --runs N            of each case in a round, default 20
  --nats-server FILE  also compares the broker with this one (repeatable); default: that in PATH
  --out FOLDER        default bench/results
  --help              print this and stop

Each engine takes up to fifteen minutes: cases that were disturbed are tried again. Broker and
scaling run on the last Node. Then: npm run bench:report
`;

const FILES = { cases: './run.js', broker: './broker/compare.main.js' };
const SCALING = './scaling/scaling.main.js';

await runProgram(async () => {
  const { values } = parseArgs({
    options: {
      engine: { type: 'string', multiple: true, default: ['node', 'node24', 'node26'] },
      only: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string', default: '1' },
      runs: { type: 'string', default: '20' },
      'nats-server': { type: 'string', multiple: true, default: [] },
      out: { type: 'string', default: 'bench/results' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const rounds = String(readCount('--rounds', values.rounds));
  const runs = String(readCount('--runs', values.runs));
  const engines = values.engine.map((name) => (name === 'node' ? process.execPath : name));
  const found = engines.map((name) => ({ name, ...engineOf(name) }));
  const servers = values['nats-server'].map((file) => ({ file, version: natsVersion(file) }));
  mkdirSync(values.out, { recursive: true });
  const only = values.only.flatMap((glob) => ['--only', glob]);
  for (const { name, command, version, isNode } of found) {
    const json = `${values.out}/core-${fileName(version)}.json`;
    // The list of cases depends on the engine, so Node runs the whole; others only the cases.
    const own = isNode ? [] : ['--engine', name];
    const times = ['--rounds', rounds, '--runs', runs];
    const args = [program(FILES.cases), ...times, '--json', json, ...only, ...own];
    await run(isNode ? command[0] : process.execPath, args);
  }
  if (only.length > 0) return;
  const node = found.filter(({ isNode }) => isNode).at(-1)?.command[0] ?? process.execPath;
  for (const { file, version } of servers.length > 0 ? servers : [{ file: '', version: '' }]) {
    const json = `${values.out}/broker${version === '' ? '' : `-nats-${version}`}.json`;
    await run(node, [program(FILES.broker), '--json', json], file === '' ? [] : [dirname(file)]);
  }
  await run(node, [program(SCALING), '--json', `${values.out}/scaling.json`]);
});

function program(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** `node26`, `bun1.4`: one file for each line of an engine, so that a new run replaces the old. */
function fileName(version: string): string {
  const [, engine = '', major = '', minor = ''] = /^(\w+) v?(\d+)\.(\d+)/.exec(version) ?? [];
  return engine.toLowerCase() + major + (engine === 'Node' ? '' : `.${minor}`);
}

function natsVersion(file: string): string {
  const { stdout } = spawnSync(file, ['--version'], { encoding: 'utf8' });
  const [number] = /\d+\.[\d.]*\d/.exec(stdout ?? '') ?? [];
  if (number === undefined) throw new UsageError(`--nats-server ${file} does not run`);
  return number;
}

/** One program after the other: nothing may run beside what is measured. A failure stops none. */
async function run(engine: string, args: readonly string[], path: string[] = []): Promise<void> {
  const PATH = [...path, process.env.PATH ?? ''].join(delimiter);
  const beganMs = performance.now();
  const child = spawn(engine, args, { stdio: 'inherit', env: { ...process.env, PATH } });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code !== 0) {
    process.exitCode = 1;
    process.stderr.write(`${args.join(' ')} ended with code ${code}\n`);
  }
  const minutes = (performance.now() - beganMs) / 60_000;
  process.stdout.write(`-- ${args.at(-1)}: ${minutes.toFixed(1)} min\n`);
}
