// SPDX-License-Identifier: MIT
/** Turns the samples of all cases into figures, a table and a JSON document. */

import Table from 'cli-table3';
import { CALIBRATION_ID } from './calibration.bench.ts';
import { type BucketCount, Histogram } from './histogram.ts';
import { median, quantile } from './statistics.ts';
import { type Ratio, type Target, targets } from './targets.ts';

/** The runs of one case that are reported. */
export interface CaseResult {
  readonly id: string;
  readonly nsPerOp: readonly number[];
  /** Of single operations, where the case is about them. */
  readonly latencies?: readonly BucketCount[];
  /** What a reader of the figures must know. */
  readonly note?: string;
  /** True when too few runs had the machine to themselves: these are all there are. */
  readonly disturbed: boolean;
}

export interface LatencyFigures {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly count: number;
}

/** What the JSON document says about one case. */
export interface CaseFigures {
  readonly id: string;
  /** Median over all runs. */
  readonly nsPerOp: number;
  readonly p25: number;
  readonly p75: number;
  /** The fastest run: what is left when nothing disturbs, on a machine that is never quiet. */
  readonly min: number;
  readonly runs: number;
  /** Percentiles over single operations in ns; null for cases that are not about latency. */
  readonly latencyNs: LatencyFigures | null;
  /** What a reader must know; null: nothing. */
  readonly note: string | null;
  /**
   * Median in units of this run's `calibration/atomics-add`, of single operations where the case
   * is about latency; null when that case was not selected.
   */
  readonly a: number | null;
  /** bab's figure for the same operation, in A. */
  readonly babA: number | null;
  readonly target: string | null;
  readonly reached: boolean | null;
  /** True when too few runs had the machine to themselves. */
  readonly disturbed: boolean;
}

/**
 * Computes the figures of all cases; targets are judged within this run.
 *
 * `disturbedCalibrationNs` are the calibration's runs that were disturbed: disturbed cases are
 * divided by their median, because whatever slows them down slows that down too.
 */
export function figuresOf(
  results: readonly CaseResult[],
  disturbedCalibrationNs: readonly number[],
): CaseFigures[] {
  const nsOf = new Map(results.map((result) => [result.id, median(result.nsPerOp)]));
  const latencyOf = new Map<string, LatencyFigures>();
  for (const { id, latencies } of results) {
    if (latencies !== undefined && latencies.length > 0)
      latencyOf.set(id, latencyFigures(latencies));
  }
  const p50Of = new Map([...latencyOf].map(([id, { p50 }]) => [id, p50]));
  const quietNs = nsOf.get(CALIBRATION_ID);
  const disturbedNs =
    disturbedCalibrationNs.length === 0 ? quietNs : median(disturbedCalibrationNs);
  return results.map(({ id, nsPerOp, note, disturbed }) => {
    const ns = median(nsPerOp);
    const calibrationNs = disturbed ? disturbedNs : quietNs;
    const target: Target = targets[id] ?? {};
    const judged = target.latency === true ? p50Of : nsOf;
    return {
      id,
      nsPerOp: rounded(ns),
      p25: rounded(quantile(nsPerOp, 0.25)),
      p75: rounded(quantile(nsPerOp, 0.75)),
      min: rounded(quantile(nsPerOp, 0)),
      runs: nsPerOp.length,
      latencyNs: latencyOf.get(id) ?? null,
      note: note ?? null,
      a: calibrationNs === undefined ? null : rounded((p50Of.get(id) ?? ns) / calibrationNs),
      babA: target.babA ?? null,
      target: describeTarget(target),
      reached: isReached(judged.get(id), target, calibrationNs, judged),
      disturbed,
    };
  });
}

/** Draws the table. A `~` marks figures that were disturbed. */
export function drawTable(figures: readonly CaseFigures[], color: boolean): string {
  const table = new Table({
    head: ['case', 'ns', 'p25–p75', 'min', 'p50 / 99 / 99.9', 'A', 'target', 'bab A', 'reached'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'right', 'left'],
    style: { compact: true, head: color ? ['bold'] : [], border: color ? ['grey'] : [] },
  });
  for (const row of figures) {
    const latency = row.latencyNs;
    table.push([
      row.id,
      `${row.disturbed ? '~' : ''}${shown(row.nsPerOp)}`,
      `${shown(row.p25)}–${shown(row.p75)}`,
      shown(row.min),
      latency === null ? '' : [latency.p50, latency.p99, latency.p999].map(shown).join(' / '),
      row.a === null ? '' : row.a.toFixed(2),
      row.target ?? '',
      row.babA === null ? '' : row.babA.toFixed(2),
      row.reached === null ? '' : row.reached ? 'yes' : 'no',
    ]);
  }
  return table.toString();
}

/** The notes of all cases, a line each; '' if there are none. */
export function listNotes(figures: readonly CaseFigures[]): string {
  return figures
    .filter(({ note }) => note !== null)
    .map(({ id, note }) => `${id}: ${note}\n`)
    .join('');
}

function latencyFigures(latencies: readonly BucketCount[]): LatencyFigures {
  const histogram = new Histogram();
  histogram.add(latencies);
  return {
    p50: histogram.quantile(0.5),
    p99: histogram.quantile(0.99),
    p999: histogram.quantile(0.999),
    count: histogram.total,
  };
}

function describeTarget({ atMostA, atMostNs, ratio, latency }: Target): string | null {
  const conditions: string[] = [];
  if (atMostNs !== undefined) conditions.push(`≤ ${atMostNs} ns`);
  if (atMostA !== undefined) conditions.push(`≤ ${atMostA} A`);
  for (const { of, times } of listRatios(ratio)) {
    const factor = times < 0.4 ? `1/${Math.round(1 / times)}` : `${Number(times.toFixed(2))}`;
    conditions.push(`≤ ${factor} × ${of.replace('baseline/', '')}`);
  }
  if (conditions.length === 0) return null;
  return `${latency === true ? 'p50 ' : ''}${conditions.join(' and ')}`;
}

/** Null: there is no target, or what it is compared with was not measured. */
function isReached(
  ns: number | undefined,
  { atMostA, atMostNs, ratio }: Target,
  calibrationNs: number | undefined,
  nsOf: ReadonlyMap<string, number>,
): boolean | null {
  const limits: (number | undefined)[] = [];
  const times = (units: number, unitNs: number | undefined): void => {
    limits.push(unitNs === undefined ? undefined : units * unitNs);
  };
  if (atMostNs !== undefined) limits.push(atMostNs);
  if (atMostA !== undefined) times(atMostA, calibrationNs);
  for (const each of listRatios(ratio)) times(each.times, nsOf.get(each.of));
  if (ns === undefined || limits.length === 0) return null;
  if (limits.some((limit) => limit !== undefined && ns > limit)) return false;
  return limits.includes(undefined) ? null : true;
}

function listRatios(ratio: Target['ratio']): readonly Ratio[] {
  return ratio === undefined ? [] : [ratio].flat();
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function shown(ns: number): string {
  return ns >= 100 ? ns.toFixed(0) : ns.toFixed(ns >= 10 ? 1 : 2);
}
