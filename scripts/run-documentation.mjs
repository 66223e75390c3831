// SPDX-License-Identifier: MIT
/**
 * Runs the code blocks of README.md, docs/ and the `@example`s in src/, and the programs in
 * examples/ladder: each is type checked against the built package as a program of its own, bundled
 * as a reader's would be, and run.
 *
 * Blocks are marked `ts` or `js`. `ts no-run` is only type checked. With an argument only those of
 * files with that in their path.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { bundle } from './build.mjs';
import { listFiles, ROOT } from './files.mjs';

const FOLDER = 'build/documentation';
const RUN_LIMIT_MS = 60_000;

rmSync(ROOT + FOLDER, { recursive: true, force: true });
mkdirSync(ROOT + FOLDER, { recursive: true });

const [only = ''] = process.argv.slice(2);
const blocks = [
  ...documents().flatMap(blocksOf),
  ...listFiles('examples/ladder').map(programOf),
].filter(({ source }) => source.includes(only));
for (const block of blocks) writeFileSync(ROOT + block.path, `${block.code}\nexport {};\n`);
const checked = typeCheck(blocks);
const bundled = await bundle(
  blocks.filter(({ runs }) => runs).map(({ path }) => path),
  { outbase: ROOT, outdir: ROOT },
);
let failures = checked && bundled ? 0 : 1;
for (const block of blocks) if (block.runs && bundled && !run(block)) failures++;
console.log(`${blocks.length} code blocks, ${failures} failed`);
process.exitCode = failures > 0 ? 1 : 0;

function documents() {
  const guides = listFiles('docs')
    .filter((path) => path.endsWith('.md'))
    // Declarations that a tool writes, no programs.
    .filter((path) => !path.startsWith('docs/api-report/'));
  const sources = listFiles('src').filter(
    (path) => /\.ts$/.test(path) && !/\.test\.ts$/.test(path),
  );
  return [...(existsSync(`${ROOT}README.md`) ? ['README.md'] : []), ...guides, ...sources];
}

/** The fenced blocks of a file; in a source file those of its doc comments, behind the stars. */
function blocksOf(document) {
  const fence = document.endsWith('.ts') ? /^\s*\* ?(.*)$/ : /^(.*)$/;
  const found = [];
  let open;
  const lines = readFileSync(ROOT + document, 'utf8').split('\n');
  for (const [index, line] of lines.entries()) {
    const text = fence.exec(line)?.[1] ?? '';
    const mark = /^\s*```(.*)$/.exec(text);
    if (mark === null) {
      open?.lines.push(text);
    } else if (open === undefined) {
      open = { line: index + 1, info: mark[1].trim().split(/\s+/), lines: [] };
    } else {
      found.push(open);
      open = undefined;
    }
  }
  if (open !== undefined)
    throw new Error(`${document}:${open.line}: the code block is never closed`);
  return found.flatMap((block) => toProgram(document, block));
}

function toProgram(document, { line, info, lines }) {
  const [language, ...marks] = info;
  const extension = { ts: 'ts', typescript: 'ts', js: 'js', javascript: 'js', mjs: 'js' }[language];
  if (extension === undefined) return [];
  const name = `${document.replaceAll('/', '-').replace(/\.\w+$/, '')}-${line}`;
  const source = `${document}:${line}`;
  return [
    {
      source,
      path: `${FOLDER}/${name}.${extension === 'ts' ? 'ts' : 'mjs'}`,
      program: `${ROOT}${FOLDER}/${name}.js`,
      runs: !marks.includes('no-run'),
      code: lines.join('\n'),
    },
  ];
}

/** A whole file. */
function programOf(source) {
  const name = source.replaceAll('/', '-').replace(/\.ts$/, '');
  return {
    source,
    path: `${FOLDER}/${name}.ts`,
    program: `${ROOT}${FOLDER}/${name}.js`,
    runs: true,
    code: readFileSync(ROOT + source, 'utf8'),
  };
}

function typeCheck(all) {
  if (!all.some(({ path }) => path.endsWith('.ts'))) return true;
  const options = {
    extends: '../../tsconfig.json',
    // As a reader's project sees the package: through its exports, without our own extra demands,
    // with what a careful one may demand.
    compilerOptions: {
      paths: {},
      isolatedDeclarations: false,
      declaration: false,
      noUncheckedIndexedAccess: true,
    },
    include: ['*.ts'],
    exclude: [],
  };
  writeFileSync(`${ROOT}${FOLDER}/tsconfig.json`, JSON.stringify(options));
  const tsc = `${ROOT}node_modules/typescript/bin/tsc`;
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', `${ROOT}${FOLDER}`], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (status === 0) return true;
  let report = stdout;
  for (const { path, source } of all) report = report.replaceAll(path, `${source} (${path})`);
  console.error(report);
  return false;
}

function run({ source, program }) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [program], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: RUN_LIMIT_MS,
  });
  if (status === 0) return true;
  console.error(`${source}: the code block ended with ${signal ?? status}\n${stdout}${stderr}`);
  return false;
}
