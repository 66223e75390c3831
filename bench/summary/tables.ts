// SPDX-License-Identifier: MIT
/** The kept runs as tables of Markdown. */

import { CALIBRATION_ID } from '../calibration.bench.ts';
import type { CaseFigures } from '../report.ts';
import { toMarkdown } from '../scaling/scaling-report.ts';
import { targets } from '../targets.ts';
import { type BrokerRun, type CoreRun, originOf, type Runs, shortEngine } from './documents.ts';

/** A case beside what it replaces, measured in the same run. */
export interface Peers {
  readonly id: string;
  readonly ns: number;
  readonly others: readonly { readonly id: string; readonly ns: number }[];
}

const BASELINE = /^baseline\//;
const README_ROWS_MAX = 8;

/** Every case of every engine, in A; the newest run's targets. */
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
  return `${mark}${time(row.nsPerOp)}${inA}`;
}

/** Percentiles of single operations. */
export function latencyTable(run: CoreRun): string {
  const rows = run.results.flatMap(({ id, latencyNs }) => {
    if (latencyNs === null) return [];
    return [[`\`${id}\``, time(latencyNs.p50), time(latencyNs.p99), time(latencyNs.p999)]];
  });
  return [originOf(run), '', table(['case', 'p50', 'p99', 'p99.9'], rows)].join('\n');
}

/** The cases that have a peer in the same run. */
export function peersOf({ results }: CoreRun): Peers[] {
  const nsOf = new Map(
    results.map(({ id, nsPerOp, latencyNs }) => [id, latencyNs?.p50 ?? nsPerOp]),
  );
  return results.flatMap(({ id }) => {
    const ratios = [targets[id]?.ratio ?? []].flat();
    const others = ratios.flatMap(({ of }) => {
      const ns = nsOf.get(of);
      return ns === undefined ? [] : [{ id: of, ns }];
    });
    return others.length === 0 ? [] : [{ id, ns: nsOf.get(id) ?? Number.NaN, others }];
  });
}

/** Each case beside its peers. */
export function peersTable(run: CoreRun, rowsMax: number = Number.POSITIVE_INFINITY): string {
  const rows = peersOf(run)
    .flatMap(({ id, ns, others }) =>
      others.map((other) => [
        `\`${id}\``,
        time(ns),
        other.id.replace(BASELINE, ''),
        time(other.ns),
        `${(ns / other.ns).toPrecision(2)}`,
      ]),
    )
    .slice(0, rowsMax);
  return [originOf(run), '', table(['case', '', 'beside', '', 'ratio'], rows)].join('\n');
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
    blocks.set('readme', `${plot('peers', 'docs/')}\n\n${peersTable(newest, README_ROWS_MAX)}`);
  }
  const broker = runs.broker.map(brokerTable).join('\n\n');
  if (broker !== '') blocks.set('broker', `${plot('broker')}\n\n${broker}`);
  const scaling = runs.scaling.map((each) => `${originOf(each)}\n\n${toMarkdown(each)}`);
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
