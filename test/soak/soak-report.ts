// SPDX-License-Identifier: MIT
/** Soak: the judged result of a run, as a document and as text. */

import Table from 'cli-table3';
import { median } from '../../bench/statistics.ts';
import type { Quantity } from './reading.ts';
import type { LoadTotal, Return, RunRecord } from './soak-run.ts';
import type { LoadMinute } from './tally.ts';
import { judge, type TrendVerdict, warmUpOf } from './verdict.ts';

/** Where, when and how. */
export interface RunHead {
  readonly machine: string;
  readonly node: string;
  readonly commit: string;
  readonly startedAt: string;
  readonly seed: number;
  readonly minutes: number;
  readonly minuteMs: number;
}

export interface SoakReport extends RunHead {
  /** This many minutes were not judged. */
  readonly warmUpMinutes: number;
  /** Nothing was wrong, everything came back, everything was flat. */
  readonly isFine: boolean;
  readonly complaints: readonly string[];
  /** How many cores other programs kept busy in each minute: they change rates and latencies. */
  readonly coresTaken: readonly number[];
  readonly returns: readonly Return[];
  readonly verdicts: Readonly<Record<string, TrendVerdict>>;
  readonly totals: Readonly<Record<string, LoadTotal>>;
  /** Bytes, milliseconds or counts, one value per minute. */
  readonly series: Readonly<Record<string, readonly number[]>>;
  readonly loads: Readonly<Record<string, readonly LoadMinute[]>>;
}

/** Random loads: their rate is not meaningful, and a short run may have none of them. */
const CASUAL = ['tcp churn', 'broker churn', 'slow consumer'];
const SHORT_RUN_MS = 60_000;
/** A part that is not made of busbar: what its memory does is drawn, and not judged. */
const FOREIGN = 'broker-guests: ';
const MS_PER_SECOND = 1000;
const US_PER_MS = 1000;
const MIB = 2 ** 20;
const BYTE_QUANTITIES = ['heap', 'external', 'array buffers', 'rss'];

export function reportOf(head: RunHead, record: RunRecord): SoakReport {
  const { series, loads, totals, returns } = record;
  const verdicts: Record<string, TrendVerdict> = {};
  for (const [name, values] of series) {
    if (!name.startsWith(FOREIGN)) verdicts[name] = judge(quantityOf(name), values);
  }
  for (const [load, minutes] of loads) {
    if (CASUAL.includes(load)) continue;
    const messages = minutes.map((minute) => minute.messages);
    verdicts[`${load}: messages`] = judge('rate', messages);
    const p50 = minutes.flatMap(({ latencyUs }) => latencyUs?.p50 ?? []);
    if (p50.length === minutes.length) verdicts[`${load}: latency p50`] = judge('latency', p50);
  }
  const complaints = [...record.complaints];
  for (const [load, { messages, wrong }] of totals) {
    const isExcused = CASUAL.includes(load) && head.minutes * head.minuteMs < SHORT_RUN_MS;
    if (messages === 0 && !isExcused) complaints.push(`${load}: nothing has come`);
    if (wrong > 0) complaints.push(`${load}: ${wrong} wrong`);
  }
  const isFine =
    complaints.length === 0 &&
    returns.every(isBack) &&
    Object.values(verdicts).every(({ isFlat }) => isFlat);
  return {
    ...head,
    warmUpMinutes: warmUpOf(head.minutes),
    isFine,
    complaints,
    coresTaken: record.coresTaken,
    returns,
    verdicts,
    totals: Object.fromEntries(totals),
    series: Object.fromEntries(series),
    loads: Object.fromEntries(loads),
  };
}

/** 'heap' of 'broker: heap of executor 0'. */
export function quantityOf(series: string): Quantity {
  return series.replace(/^.*: /, '').replace(/ of .*$/, '') as Quantity;
}

export function isBack({ expected, actual }: Return): boolean {
  return expected === actual;
}

/** The tables that a person reads at the end. */
export function describeReport(report: SoakReport): string {
  const { verdicts, returns, complaints, isFine } = report;
  const failed = returns.filter((each) => !isBack(each));
  const notFlat = Object.values(verdicts).filter(({ isFlat }) => !isFlat).length;
  const count = Object.keys(verdicts).length;
  return [
    loadTable(report),
    trendTable(report),
    describeOthers(report),
    ...failed.map(
      ({ part, when, quantity, expected, actual }) =>
        `${part}, ${when}: ${actual} ${quantity}, expected ${expected}`,
    ),
    ...complaints,
    `${count - notFlat} of ${count} series flat; ${returns.length - failed.length} of ` +
      `${returns.length} counts came back; ${complaints.length} complaints: ` +
      (isFine ? 'fine' : 'NOT FINE'),
  ].join('\n');
}

function loadTable({ loads, totals, minuteMs }: SoakReport): string {
  const table = plainTable(['load', 'messages', '/s', 'lost', 'wrong', 'p50 ms', 'p99', 'max']);
  for (const [load, minutes] of Object.entries(loads)) {
    const { messages, lost, wrong } = totals[load];
    const perSecond = messages / ((minutes.length * minuteMs) / MS_PER_SECOND);
    const latencies = minutes.flatMap(({ latencyUs }) => latencyUs ?? []);
    const worst = (key: 'p50' | 'p99' | 'max'): string =>
      latencies.length === 0
        ? ''
        : (Math.max(...latencies.map((each) => each[key])) / US_PER_MS).toPrecision(3);
    const row = [load, messages, Math.round(perSecond), lost, wrong];
    table.push([...row.map(String), worst('p50'), worst('p99'), worst('max')]);
  }
  return `Loads; latencies are those of the worst minute.\n${table.toString()}`;
}

function trendTable({ verdicts }: SoakReport): string {
  const table = plainTable(['series', 'median', 'trend', 'allowed', '']);
  for (const [name, { median, trend, allowed, isFlat }] of Object.entries(verdicts)) {
    const figures = [median, trend, allowed].map((value) => showValue(name, value));
    table.push([name, ...figures, isFlat ? 'flat' : 'NOT FLAT']);
  }
  return `By how much each has become worse over the minutes judged.\n${table.toString()}`;
}

function describeOthers({ coresTaken }: SoakReport): string {
  const most = Math.max(...coresTaken).toFixed(2);
  return `Other programs took ${median(coresTaken).toFixed(2)} cores, ${most} in the worst minute.`;
}

function showValue(series: string, value: number): string {
  if (BYTE_QUANTITIES.includes(quantityOf(series))) return `${(value / MIB).toFixed(2)} MiB`;
  return Math.abs(value) < 10 ? value.toFixed(2) : value.toFixed(0);
}

function plainTable(head: string[]): Table.Table {
  const right = 'right' as const;
  return new Table({
    head,
    style: { head: [], border: [], compact: true },
    colAligns: ['left', ...head.slice(1).map(() => right)],
  });
}
