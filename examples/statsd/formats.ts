// SPDX-License-Identifier: MIT
/** Example statsd: formats reports as text tables, as lines of JSON, or for Graphite. */

import Table from 'cli-table3';
import { FOR_GRAPHITE } from './naming.ts';
import type { Metric, Report } from './report.ts';

export type Format = 'text' | 'json' | 'graphite';
export const FORMATS: readonly Format[] = ['text', 'json', 'graphite'];

/** Formats a report; the result ends with a line feed. `prefix`: that of Graphite's names. */
export function format(report: Report, kind: Format, prefix: string): string {
  if (kind === 'json') return `${JSON.stringify(report)}\n`;
  return kind === 'graphite' ? graphite(report, prefix) : text(report);
}

function text(report: Report): string {
  const { timeMs, seconds, counters, gauges, timers, sets, collector } = report;
  const parts = [`── ${new Date(timeMs).toISOString()}, ${seconds.toFixed(1)} s ──`];
  const add = <M extends Metric>(
    title: string,
    metrics: readonly M[],
    columns: readonly string[],
    show: (metric: M) => readonly number[],
  ): void => {
    if (metrics.length === 0) return;
    const table = new Table({
      head: [title, 'tags', ...columns],
      style: { head: [], border: [], compact: true },
      colAligns: ['left', 'left', ...columns.map(() => 'right' as const)],
    });
    for (const metric of metrics) {
      table.push([metric.name, metric.tags.join(' '), ...show(metric).map(short)]);
    }
    parts.push(table.toString());
  };
  add('counter', counters, ['sum', 'per s'], ({ value, rate }) => [value, rate]);
  add('gauge', gauges, ['value'], ({ value }) => [value]);
  const percents = Object.keys(timers[0]?.percentiles ?? {});
  const columns = ['count', 'per s', 'min', 'mean', 'max', ...percents.map((p) => `p${p}`)];
  add('timer', timers, columns, ({ count, rate, min, mean, max, percentiles }) => [
    ...[count, rate, min, mean, max],
    ...percents.map((percent) => percentiles[percent]),
  ]);
  add('set', sets, ['values'], ({ count }) => [count]);
  const { datagrams, lines, malformed, ignored, refused, dropped } = collector;
  const { streams, failedStreams, tooLong } = collector;
  parts.push(
    `${lines} lines in ${datagrams} datagrams and ${streams} streams; ` +
      `${malformed} malformed, ${tooLong} too long, ${ignored} ignored; ` +
      `${refused} values refused: no room; ${dropped} datagrams dropped: socket full; ` +
      `${failedStreams} streams failed`,
  );
  return `${parts.join('\n')}\n`;
}

/** Rounds to six digits, enough for a table. */
function short(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}

/** Formats each number as a line `name;tag=value 1 1700000000`. Names: {@link FOR_GRAPHITE}. */
function graphite(report: Report, prefix: string): string {
  const seconds = Math.floor(report.timeMs / 1000);
  const lines: string[] = [];
  const add = (group: string, metric: Metric, numbers: Readonly<Record<string, number>>): void => {
    const tags = FOR_GRAPHITE.tags(metric.tags)
      .map((tag) => `;${tag.replace(':', '=')}`)
      .join('');
    for (const [key, value] of Object.entries(numbers)) {
      const name = [prefix, group, FOR_GRAPHITE.name(metric.name), key].filter(
        (part) => part !== '',
      );
      lines.push(`${name.join('.')}${tags} ${value} ${seconds}\n`);
    }
  };
  for (const each of report.counters) add('counters', each, { count: each.value, rate: each.rate });
  for (const each of report.gauges) add('gauges', each, { '': each.value });
  for (const each of report.timers) {
    const { count, rate, sum, min, max, mean, deviation, percentiles } = each;
    const upper = Object.entries(percentiles).map(([p, v]) => [`upper_${p.replace('.', '_')}`, v]);
    const numbers = { count, count_ps: rate, sum, lower: min, upper: max, mean, std: deviation };
    add('timers', each, { ...numbers, ...Object.fromEntries(upper) });
  }
  for (const each of report.sets) add('sets', each, { count: each.count });
  const { collector } = report;
  add('statsd', { name: 'collector', tags: [] }, { ...collector });
  return lines.join('');
}
