// SPDX-License-Identifier: MIT
/** Compares the figures of two runs of `npm run bench`, each in units of its own calibration. */

import Table from 'cli-table3';
import { CALIBRATION_ID } from './calibration.bench.ts';
import type { CaseFigures } from './report.ts';

/** Medians closer than this are not told apart, however narrow the spread. */
const RATIO_MIN = 1.03;

/** One case in both runs; figures in A. */
export interface Comparison {
  readonly id: string;
  readonly before: number;
  readonly after: number;
  /** Median after by median before, and what it may be by the quartiles of both. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  readonly verdict: 'faster' | 'slower' | 'no difference';
}

/** Cases that both runs have, in the order of the second; without the calibration itself. */
export function compareFigures(
  before: readonly CaseFigures[],
  after: readonly CaseFigures[],
): Comparison[] {
  const old = new Map(before.map((figures) => [figures.id, figures]));
  return after.flatMap((now) => {
    const then = old.get(now.id);
    if (now.id === CALIBRATION_ID || !then?.a || !now.a) return [];
    const ratio = now.a / then.a;
    const low = (ratio * relative(now, now.p25)) / relative(then, then.p75);
    const high = (ratio * relative(now, now.p75)) / relative(then, then.p25);
    const isNoise = (low <= 1 && high >= 1) || (ratio < RATIO_MIN && ratio > 1 / RATIO_MIN);
    const verdict = isNoise ? 'no difference' : ratio < 1 ? 'faster' : 'slower';
    return [{ id: now.id, before: then.a, after: now.a, ratio, low, high, verdict }];
  });
}

function relative(figures: CaseFigures, ns: number): number {
  return ns / figures.nsPerOp;
}

/** Draws the table. */
export function drawComparison(comparisons: readonly Comparison[], color: boolean): string {
  const table = new Table({
    head: ['case', 'A before', 'A now', 'now ÷ before', 'by the quartiles', ''],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'left'],
    style: { compact: true, head: color ? ['bold'] : [], border: color ? ['grey'] : [] },
  });
  for (const { id, before, after, ratio, low, high, verdict } of comparisons) {
    const spread = `${low.toFixed(2)}–${high.toFixed(2)}`;
    table.push([id, before.toFixed(2), after.toFixed(2), ratio.toFixed(2), spread, verdict]);
  }
  return table.toString();
}
