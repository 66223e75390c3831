// SPDX-License-Identifier: MIT
/** Turns the samples of all cases into figures, a table and a JSON document. */

import Table from 'cli-table3';
import { CALIBRATION_ID } from './calibration.bench.ts';
import { median, quantile } from './statistics.ts';
import { type Target, targets } from './targets.ts';

/** The samples of one case, from all rounds. */
export interface CaseResult {
  readonly id: string;
  readonly nsPerOp: readonly number[];
  /**
   * True when other programs were busy in all rounds, so that there are no better samples than
   * these.
   */
  readonly disturbed: boolean;
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
  /**
   * Median in units of this run's `calibration/atomics-add`; null when that case was not selected.
   */
  readonly a: number | null;
  /** bab's figure for the same operation, in A. */
  readonly babA: number | null;
  readonly target: string | null;
  readonly reached: boolean | null;
  /** True when other programs were busy in all rounds. */
  readonly disturbed: boolean;
}

/**
 * Computes the figures of all cases; targets are judged within this run.
 *
 * `disturbedCalibrationNs` are calibration samples taken while other programs were busy: disturbed
 * cases are divided
 * by their median, because whatever slows them down slows the yardstick down too.
 */
export function figuresOf(
  results: readonly CaseResult[],
  disturbedCalibrationNs: readonly number[],
): CaseFigures[] {
  const nsOf = new Map(results.map((result) => [result.id, median(result.nsPerOp)]));
  const quietNs = nsOf.get(CALIBRATION_ID);
  const disturbedNs =
    disturbedCalibrationNs.length === 0 ? quietNs : median(disturbedCalibrationNs);
  return results.map(({ id, nsPerOp, disturbed }) => {
    const ns = median(nsPerOp);
    const calibrationNs = disturbed ? disturbedNs : quietNs;
    const target: Target = targets[id] ?? {};
    return {
      id,
      nsPerOp: rounded(ns),
      p25: rounded(quantile(nsPerOp, 0.25)),
      p75: rounded(quantile(nsPerOp, 0.75)),
      min: rounded(quantile(nsPerOp, 0)),
      runs: nsPerOp.length,
      a: calibrationNs === undefined ? null : rounded(ns / calibrationNs),
      babA: target.babA ?? null,
      target: describeTarget(target),
      reached: isReached(ns, target, calibrationNs, nsOf),
      disturbed,
    };
  });
}

/** Draws the table. A `~` marks figures that were disturbed. */
export function drawTable(figures: readonly CaseFigures[], color: boolean): string {
  const table = new Table({
    head: ['case', 'ns', 'p25–p75', 'min', 'A', 'target', 'bab A', 'reached'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'left'],
    style: { compact: true, head: color ? ['bold'] : [], border: color ? ['grey'] : [] },
  });
  for (const row of figures) {
    table.push([
      row.id,
      `${row.disturbed ? '~' : ''}${shown(row.nsPerOp)}`,
      `${shown(row.p25)}–${shown(row.p75)}`,
      shown(row.min),
      row.a === null ? '' : row.a.toFixed(2),
      row.target ?? '',
      row.babA === null ? '' : row.babA.toFixed(2),
      row.reached === null ? '' : row.reached ? 'yes' : 'no',
    ]);
  }
  return table.toString();
}

function describeTarget({ atMostA, ratio }: Target): string | null {
  if (atMostA !== undefined) return `≤ ${atMostA} A`;
  if (ratio !== undefined) return `≤ ${ratio.times} × ${ratio.of.replace('baseline/', '')}`;
  return null;
}

/** Null: there is no target, or what it is compared with was not measured. */
function isReached(
  ns: number,
  { atMostA, ratio }: Target,
  calibrationNs: number | undefined,
  nsOf: ReadonlyMap<string, number>,
): boolean | null {
  const unitNs = ratio === undefined ? calibrationNs : nsOf.get(ratio.of);
  const units = ratio === undefined ? atMostA : ratio.times;
  if (unitNs === undefined || units === undefined) return null;
  return ns <= units * unitNs;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function shown(ns: number): string {
  return ns >= 100 ? ns.toFixed(0) : ns.toFixed(ns >= 10 ? 1 : 2);
}
