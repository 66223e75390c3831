// SPDX-License-Identifier: MIT
/** The kept runs as tables of Markdown. */

import { CALIBRATION_ID } from '../calibration.bench.ts';
import { peerGroups } from '../peers.ts';
import type { CaseFigures } from '../report.ts';
import { scalingTable } from '../scaling/scaling-report.ts';
import { type BrokerRun, type CoreRun, originOf, type Runs, shortEngine } from './documents.ts';

/** A case and its time: the median, of single operations where all of its job have one. */
export interface Timed {
  readonly id: string;
  readonly ns: number;
  readonly disturbed: boolean;
}

/** A job with busbar and without, measured in the same run; the fastest first. */
export interface Peers {
  readonly job: string;
  readonly note: string | undefined;
  readonly ours: readonly Timed[];
  readonly others: readonly Timed[];
  /** What the fastest of ours takes by the fastest of the others. */
  readonly ratio: number;
}

/** What the README shows of the peers. */
export const README_ROWS_MAX = 8;

const CONCEPT = /^\w+\//;
/** Times closer than this are called the same. */
const SAME_RATIO_MAX = 1.05;

/** Every case of every engine, of latencies the p50; the newest run's targets. */
export function enginesTable(runs: readonly CoreRun[]): string {
  const ids = new Set(runs.flatMap(({ results }) => results.map(({ id }) => id)));
  const head = ['case', ...runs.map((run) => `${shortEngine(run)}, ns (A)`), 'target'];
  const rows = [...ids].map((id) => {
    const cells = runs.map((run) => figure(run.results.find((each) => each.id === id)));
    const target = runs.at(-1)?.results.find((each) => each.id === id)?.target ?? '';
    return [`\`${id}\``, ...cells, target];
  });
  return [...runs.map((run) => `- ${originOf(run)}`), '', table(head, rows)].join('\n');
}

function figure(row: CaseFigures | undefined): string {
  if (row === undefined) return '';
  const mark = row.disturbed ? '~' : '';
  const missed = row.reached === false ? ' ✗' : '';
  const inA = row.a === null || row.id === CALIBRATION_ID ? '' : ` (${row.a.toFixed(2)}${missed})`;
  return `${mark}${time(row.latencyNs?.p50 ?? row.nsPerOp)}${inA}`;
}

/** Percentiles of single operations. */
export function latencyTable(run: CoreRun): string {
  const rows = run.results.flatMap(({ id, latencyNs }) => {
    if (latencyNs === null) return [];
    return [[`\`${id}\``, time(latencyNs.p50), time(latencyNs.p99), time(latencyNs.p999)]];
  });
  return [originOf(run), '', table(['case', 'p50', 'p99', 'p99.9'], rows)].join('\n');
}

/** The jobs of which a run has cases of both kinds. */
export function peersOf({ results }: CoreRun): Peers[] {
  const rows = new Map(results.map((row) => [row.id, row]));
  return peerGroups.flatMap(({ job, note, ours, others }) => {
    const present = (ids: readonly string[]) => ids.flatMap((id) => rows.get(id) ?? []);
    const all = present([...ours, ...others]);
    const isSingle = all.every(({ latencyNs }) => latencyNs !== null);
    const timed = (ids: readonly string[]): Timed[] =>
      present(ids)
        .map(({ id, nsPerOp, latencyNs, disturbed }) => {
          return { id, ns: (isSingle && latencyNs?.p50) || nsPerOp, disturbed };
        })
        .sort((first, second) => first.ns - second.ns);
    const [mine, theirs] = [timed(ours), timed(others)];
    if (mine.length === 0 || theirs.length === 0) return [];
    return [{ job, note, ours: mine, others: theirs, ratio: mine[0].ns / theirs[0].ns }];
  });
}

/** How often busbar takes less time than the fastest of the others, and how often not. */
export function verdictOf(peers: readonly Peers[]): string {
  const more = peers.filter(({ ratio }) => ratio > SAME_RATIO_MAX);
  const less = peers.filter(({ ratio }) => ratio < 1 / SAME_RATIO_MAX).length;
  const same = peers.length - less - more.length;
  const jobs = more.length === 0 ? '' : `: ${more.map(({ job }) => job).join('; ')}`;
  return (
    `Of ${peers.length} jobs the fastest way with busbar takes less time than the fastest other ` +
    `in ${less}, the same (within 5 %) in ${same}, more in ${more.length}${jobs}.`
  );
}

/** Each job, with all ways to do it. */
export function peersTable(run: CoreRun): string {
  const peers = peersOf(run);
  const rows = peers.map(({ job, ours, others, ratio }) => {
    return [job, ours.map(named).join(', '), others.map(named).join(', '), times(ratio)];
  });
  const head = ['job', 'with busbar', 'without', 'fastest ÷ fastest'];
  const notes = peers.flatMap(({ job, note }) => (note === undefined ? [] : [`- ${job}: ${note}`]));
  return [originOf(run), '', verdictOf(peers), '', table(head, rows), '', ...notes]
    .join('\n')
    .trim();
}

/** The first jobs, with the fastest ways. */
export function readmeTable(run: CoreRun): string {
  const rows = peersOf(run)
    .slice(0, README_ROWS_MAX)
    .map(({ job, ours, others, ratio }) => [job, named(ours[0]), named(others[0]), times(ratio)]);
  const head = ['job', 'busbar', 'the fastest other', 'ratio'];
  const isDisturbed = rows.some((row) => row.some((cell) => cell.includes('~')));
  const note = isDisturbed ? ['', '`~`: other programs or machines disturbed it.'] : [];
  return [originOf(run), '', table(head, rows), ...note].join('\n');
}

function named({ id, ns, disturbed }: Timed): string {
  return `${id.replace(CONCEPT, '')} ${disturbed ? '~' : ''}${time(ns)}`;
}

function times(ratio: number): string {
  return ratio.toPrecision(2);
}

/** The broker beside nats-server: rates, CPU and round trips; a row for each load and server. */
export function brokerTable(run: BrokerRun): string {
  const rows = run.results.map((each) => {
    const nats = run.results.find(
      ({ scenario, server }) => scenario === each.scenario && server === 'nats-server',
    );
    const ratio =
      nats === undefined || nats === each ? '' : (each.perSecond / nats.perSecond).toFixed(2);
    return [
      `\`${each.scenario}\``,
      each.server,
      `${each.disturbed ? '~' : ''}${count(each.perSecond)}`,
      ratio,
      each.cpuNsPerMessage === null ? '' : each.cpuNsPerMessage.toFixed(0),
      each.p50Us === null ? '' : `${each.p50Us.toFixed(1)} / ${each.p99Us?.toFixed(1)}`,
    ];
  });
  const head = ['load', 'server', 'messages/s', '÷ nats-server', 'CPU ns each', 'p50 / p99 µs'];
  return [originOf(run), '', table(head, rows)].join('\n');
}

/** The blocks of docs/benchmarks.md and README.md by name; none for what was not measured. */
export function blocksOf(runs: Runs): Map<string, string> {
  const blocks = new Map<string, string>();
  const newest = runs.core.at(-1);
  if (newest !== undefined) {
    blocks.set('engines', `${plot('engines')}\n\n${enginesTable(runs.core)}`);
    blocks.set('latency', `${plot('latency')}\n\n${latencyTable(newest)}`);
    blocks.set('peers', `${plot('peers')}\n\n${peersTable(newest)}`);
    blocks.set('readme', `${plot('readme', 'docs/')}\n\n${readmeTable(newest)}`);
  }
  const broker = runs.broker.map(brokerTable).join('\n\n');
  if (broker !== '') blocks.set('broker', `${plot('broker')}\n\n${broker}`);
  const scaling = runs.scaling.map((each) => `${originOf(each)}\n\n${scalingTable(each)}`);
  if (scaling.length > 0) blocks.set('scaling', `${plot('scaling')}\n\n${scaling.join('\n\n')}`);
  return blocks;
}

function plot(name: string, folder = ''): string {
  return `![${name}](${folder}plots/${name}.svg)`;
}

/** Puts the blocks where a text has their marks. Returns the names that it has no mark for, too. */
export function withBlocks(
  text: string,
  blocks: ReadonlyMap<string, string>,
): { readonly text: string; readonly found: readonly string[] } {
  const found: string[] = [];
  const marks = /(<!-- measured:(\w+) -->\n)[\s\S]*?(<!-- \/measured -->)/g;
  const result = text.replace(marks, (all, begin: string, name: string, end: string) => {
    const block = blocks.get(name);
    if (block === undefined) return all;
    found.push(name);
    return `${begin}${block}\n${end}`;
  });
  return { text: result, found };
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en').replaceAll(',', ' ');
}

function time(ns: number): string {
  if (ns >= 1e6) return `${(ns / 1e6).toPrecision(3)} ms`;
  if (ns >= 1000) return `${(ns / 1000).toPrecision(3)} µs`;
  return `${ns.toPrecision(3)} ns`;
}
