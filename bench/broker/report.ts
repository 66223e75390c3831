// SPDX-License-Identifier: MIT
/** Figures, table and verdict of the broker comparison. */

import Table from 'cli-table3';
import { median, quantile } from '../statistics.ts';
import type { Scenario } from './scenario.ts';

/** What one run gave. */
export interface RunFigures {
  /** Messages delivered per second, or requests answered. */
  readonly perSecond: number;
  /**
   * CPU time of the server, user and system, of all its threads, per message delivered, in
   * nanoseconds; NaN when unknown.
   */
  readonly cpuNs: number;
  /** Requests only: median and 99th percentile of the round trip; NaN otherwise. */
  readonly p50Us: number;
  readonly p99Us: number;
  /** Cores that programs other than load and server kept busy. */
  readonly coresTaken: number;
}

/** What all runs of one scenario against one server gave; numbers are medians over the runs. */
export interface ScenarioFigures {
  readonly scenario: string;
  readonly server: string;
  readonly perSecond: number;
  readonly p25: number;
  readonly p75: number;
  readonly runs: number;
  readonly cpuNsPerMessage: number | null;
  readonly p50Us: number | null;
  readonly p99Us: number | null;
  /** True when other programs kept more than a tenth of a core busy in most of the runs. */
  readonly disturbed: boolean;
}

const CORES_TAKEN_MAX = 0.1;

export function figuresOf(
  scenario: Scenario,
  server: string,
  runs: readonly RunFigures[],
): ScenarioFigures {
  const rates = runs.map((run) => run.perSecond);
  return {
    scenario: scenario.id,
    server,
    perSecond: Math.round(median(rates)),
    p25: Math.round(quantile(rates, 0.25)),
    p75: Math.round(quantile(rates, 0.75)),
    runs: runs.length,
    cpuNsPerMessage: medianOrNull(runs.map((run) => run.cpuNs)),
    p50Us: medianOrNull(runs.map((run) => run.p50Us)),
    p99Us: medianOrNull(runs.map((run) => run.p99Us)),
    disturbed: median(runs.map((run) => run.coresTaken)) > CORES_TAKEN_MAX,
  };
}

/**
 * Draws the table; busbar's rows say how they compare with nats-server's: messages a second, or the
 * median of the round trip, and CPU time for each message. `~` marks disturbed ones.
 */
export function drawTable(figures: readonly ScenarioFigures[], color: boolean): string {
  const table = new Table({
    head: ['load', 'server', 'messages/s', 'p25–p75', 'CPU ns/message', 'p50 us', 'p99 us', ''],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'right', 'left'],
    style: { compact: true, head: color ? ['bold'] : [], border: color ? ['grey'] : [] },
  });
  for (const row of figures) {
    table.push([
      row.scenario,
      row.server,
      `${row.disturbed ? '~' : ''}${thousands(row.perSecond)}`,
      `${thousands(row.p25)}–${thousands(row.p75)}`,
      row.cpuNsPerMessage === null ? '' : String(row.cpuNsPerMessage),
      row.p50Us === null ? '' : String(row.p50Us),
      row.p99Us === null ? '' : String(row.p99Us),
      compared(row, figures),
    ]);
  }
  return table.toString();
}

function compared(row: ScenarioFigures, figures: readonly ScenarioFigures[]): string {
  const other = figures.find(
    ({ scenario, server }) => scenario === row.scenario && server === 'nats-server',
  );
  if (!row.server.startsWith('busbar') || other === undefined) return '';
  const isTimed = row.p50Us !== null && other.p50Us !== null;
  const main = isTimed
    ? `p50 ${ratio(row.p50Us, other.p50Us)}`
    : ratio(row.perSecond, other.perSecond);
  const [cpu, otherCpu] = [row.cpuNsPerMessage, other.cpuNsPerMessage];
  // Of a run shorter than a tick of the system's clock nothing is known.
  if (cpu === null || otherCpu === null || otherCpu === 0) return `${main} × nats-server`;
  return `${main}, CPU ${ratio(cpu, otherCpu)} × nats-server`;
}

function ratio(value: number, other: number): string {
  return (value / other).toFixed(2);
}

function medianOrNull(values: readonly number[]): number | null {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.length === 0 ? null : Number(median(known).toPrecision(3));
}

function thousands(value: number): string {
  return `${(value / 1000).toFixed(value < 100_000 ? 1 : 0)}k`;
}
