// SPDX-License-Identifier: MIT
/**
 * `npm run model`: runs the model checker over busbar's own shared words, and prints, as Markdown,
 * what was covered and which planted bugs were found.
 *
 *   npm run model                        everything that `npm test` runs of it, and to their ends
 *                                        the searches that it cuts short
 *   npm run model -- channel parker      only test/model/channel*.test.ts and parker*.test.ts
 *   npm run model -- --each              a line for each scenario, not for each part
 *   npm run model -- --long              goes further; --states N: to this many states each
 *   npm run model -- channel -t death    only scenarios whose names match
 *   npm run model -- --oracle --seed 7   compares the checker itself with brute force on random
 *                                        programs, --programs N of each family (default 10 000)
 *   npm run model -- --help              prints this
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ROOT } from './files.mjs';

const NOTES = `${ROOT}build/model`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    each: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    states: { type: 'string' },
    name: { type: 'string', short: 't' },
    oracle: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    programs: { type: 'string', default: '10000' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  const text = readFileSync(import.meta.filename ?? new URL(import.meta.url).pathname, 'utf8');
  console.log(text.slice(text.indexOf(' * `npm'), text.indexOf(' */')).replace(/^ \* ?/gm, ''));
  process.exit(0);
}

rmSync(NOTES, { recursive: true, force: true });
const filters = values.oracle ? ['oracle'] : positionals.length > 0 ? positionals : [''];
const { status } = spawnSync(
  process.execPath,
  [
    `${ROOT}node_modules/vitest/vitest.mjs`,
    'run',
    ...filters.map((name) => `test/model/${name}`),
    ...(values.oracle ? [] : ['--silent']),
    ...(values.name === undefined ? [] : ['-t', values.name]),
  ],
  {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      BUSBAR_MODEL: values.long ? 'long' : 'whole',
      ...(values.states === undefined ? {} : { BUSBAR_MODEL_STATES: values.states }),
      ...(values.oracle ? { BUSBAR_MODEL_ORACLE: values.seed } : {}),
      ...(values.oracle ? { BUSBAR_MODEL_ORACLE_PROGRAMS: values.programs } : {}),
    },
  },
);
const covered = notesOf('coverage');
if (covered.length > 0) console.log(`\n${coverageTable(covered)}`);
const planted = notesOf('planted');
if (planted.length > 0) console.log(`\n${plantedTable(planted)}`);
process.exitCode = status ?? 1;

function notesOf(kind) {
  if (!existsSync(NOTES)) return [];
  return readdirSync(NOTES)
    .filter((name) => name.endsWith(`.${kind}.jsonl`))
    .sort()
    .flatMap((name) => readFileSync(`${NOTES}/${name}`, 'utf8').trim().split('\n'))
    .map((line) => JSON.parse(line));
}

function coverageTable(lines) {
  const rows = [];
  for (const [name, part] of groups(lines)) {
    if (values.each) rows.push(...part.map((line) => row(`${name}: ${line.scenario}`, '', [line])));
    else rows.push(row(name, part[0].operations, part));
  }
  rows.push(row('**all**', '', lines));
  const titles = [
    'part',
    'operations',
    'scenarios',
    'threads',
    'preemptions',
    'schedules',
    'states',
  ];
  return table([...titles, 'deaths', 'exceptions', 'cut short', 'left out', 'seconds'], rows);
}

function groups(lines) {
  const parts = new Map();
  for (const line of lines) parts.set(line.part, [...(parts.get(line.part) ?? []), line]);
  return parts;
}

function row(name, operations, lines) {
  const sum = (key) => count(lines.reduce((total, line) => total + line[key], 0));
  const cut = lines.filter((line) => line.leftOut.includes('states')).length;
  const leftOut = new Set(lines.flatMap((line) => line.leftOut));
  leftOut.delete('states');
  return [
    name,
    operations,
    lines.length,
    range(lines.map(({ threads }) => threads)),
    range(lines.map(({ preemptions }) => preemptions ?? Number.POSITIVE_INFINITY)),
    sum('schedules'),
    sum('states'),
    sum('deaths'),
    sum('exceptions'),
    cut === 0 ? '–' : cut,
    leftOut.size === 0 ? '–' : [...leftOut].sort().join(', '),
    (lines.reduce((total, { ms }) => total + ms, 0) / 1000).toFixed(1),
  ];
}

function range(numbers) {
  const show = (n) => (n === Number.POSITIVE_INFINITY ? 'all' : `${n}`);
  const [min, max] = [Math.min(...numbers), Math.max(...numbers)];
  return min === max ? show(min) : `${show(min)} to ${show(max)}`;
}

function plantedTable(lines) {
  const rows = lines.map(({ bug, foundBy }) => [bug, foundBy ?? '**not found**']);
  const found = lines.filter(({ foundBy }) => foundBy !== undefined).length;
  return `${table(['planted bug', 'found by'], rows)}\n\n${found} of ${lines.length} found`;
}

function table(titles, rows) {
  const line = (cells) =>
    `| ${cells.map((cell) => `${cell}`.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)].join('\n');
}

function count(n) {
  return n === 0 ? '–' : String(n).replace(/\B(?=(\d{3})+$)/g, ' ');
}
