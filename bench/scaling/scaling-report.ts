// SPDX-License-Identifier: MIT
/** Turns the rates of all rounds into rows, a table and a JSON document. */

import { median } from '../statistics.ts';
import type { Traffic } from './scaling-work.ts';

export type Pinning = 'cores' | 'none';

/** One executor count under one kind of traffic. */
export interface Setting {
  readonly traffic: Traffic;
  readonly pinning: Pinning;
  readonly executors: number;
}

/** What one round has given. */
export interface Round {
  readonly messagesPerSecond: number;
  /** How many cores other programs kept busy meanwhile. */
  readonly coresTaken: number;
  /** Why an executor was not pinned; '' if all were, or none should be. */
  readonly unpinned: string;
}

export interface ScalingRow extends Setting {
  /** Median of all rounds. */
  readonly messagesPerSecond: number;
  readonly fastest: number;
  readonly slowest: number;
  /**
   * The rate against this multiple of that of the fewest executors (of the fewest that send to each
   * other, for the mesh); null for these themselves.
   */
  readonly ofLinear: number | null;
  readonly coresTaken: number;
  readonly unpinned: string;
}

export interface ScalingDocument {
  readonly machine: string;
  readonly node: string;
  readonly commit: string;
  readonly secondsPerRound: number;
  readonly rounds: number;
  readonly rows: readonly ScalingRow[];
}

const COLUMNS = [
  'traffic',
  'pinned to',
  'executors',
  'M messages/s',
  'slowest–fastest',
  'of linear',
  'cores taken',
];

/** One row per setting, in the order in which they were measured first. */
export function rowsOf(measured: ReadonlyMap<Setting, readonly Round[]>): ScalingRow[] {
  const rows: ScalingRow[] = [];
  for (const [setting, rounds] of measured) {
    const rates = rounds.map(({ messagesPerSecond }) => messagesPerSecond);
    const rate = median(rates);
    const base = rows.find((row) => isBase(row, setting));
    const linear = base && (base.messagesPerSecond / base.executors) * setting.executors;
    rows.push({
      ...setting,
      messagesPerSecond: Math.round(rate),
      fastest: Math.round(Math.max(...rates)),
      slowest: Math.round(Math.min(...rates)),
      ofLinear: linear === undefined ? null : Number((rate / linear).toFixed(3)),
      coresTaken: Number(median(rounds.map(({ coresTaken }) => coresTaken)).toFixed(2)),
      unpinned: rounds.find(({ unpinned }) => unpinned !== '')?.unpinned ?? '',
    });
  }
  return rows;
}

/** A table that people read, and what one must know of it. */
export function scalingTable({ secondsPerRound, rounds, rows }: ScalingDocument): string {
  const lines = [
    `Medians of ${rounds} rounds of ${secondsPerRound} s. Every message is 64 bytes, ` +
      'written and read in full.',
    '**independent**: each executor sends to itself; **mesh**: each to every other. "of linear" is',
    'the rate against the first row of the same kind, per executor.',
    '',
    `| ${COLUMNS.join(' | ')} |`,
    `|${'---|'.repeat(COLUMNS.length)}`,
    ...rows.map((row) => `| ${cellsOf(row).join(' | ')} |`),
    '',
    '"cores taken": how many cores other programs kept busy meanwhile.',
  ];
  const reasons = new Set(rows.map(({ unpinned }) => unpinned).filter((reason) => reason !== ''));
  for (const reason of reasons) lines.push(`Not pinned where it should be: ${reason}.`);
  return lines.join('\n');
}

function cellsOf(row: ScalingRow): string[] {
  return [
    row.traffic,
    row.unpinned === '' ? row.pinning : 'failed',
    String(row.executors),
    millions(row.messagesPerSecond),
    `${millions(row.slowest)}–${millions(row.fastest)}`,
    row.ofLinear === null ? '' : `${(100 * row.ofLinear).toFixed(0)} %`,
    row.coresTaken.toFixed(2),
  ];
}

/** A mesh of one is no mesh: it sends to itself. */
function isBase(row: ScalingRow, { traffic, pinning }: Setting): boolean {
  return (
    row.traffic === traffic &&
    row.pinning === pinning &&
    (traffic === 'independent' || row.executors > 1)
  );
}

function millions(rate: number): string {
  return (rate / 1e6).toFixed(2);
}
