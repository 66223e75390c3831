// SPDX-License-Identifier: MIT
/**
 * The model checker finds every bug planted in textbook algorithms, and none in the correct ones.
 */

import { explore, formatFailure, type ModelReport, replay, sample } from 'busbar/testing';
import { afterAll, expect, test } from 'vitest';
import { textbook } from './textbook.ts';

const table: string[] = [];

function row(name: string, bug: string, report: ModelReport, byChance?: ModelReport): void {
  const found = report.failure?.kind ?? (report.complete ? 'none, complete' : 'none, INCOMPLETE');
  const ms = Math.round(report.elapsedMs);
  const counts = `${report.schedules} schedules, ${report.states} states, ${ms} ms`;
  const chance = byChance === undefined ? '' : `; by chance ${byChance.schedules}`;
  table.push(`${name.padEnd(26)}${bug.padEnd(46)}${found.padEnd(16)}${counts}${chance}`);
}

afterAll(() => {
  console.log(table.join('\n'));
});

for (const item of textbook) {
  const options = { kills: item.kills ?? 0 };

  test(`${item.name}: every interleaving of the right one passes`, async () => {
    const report = await explore(item.scenario(''), options);
    row(item.name, '–', report);
    expect(formatFailure(report)).toBe('');
    expect(report.complete).toBe(true);
  });

  for (const [bug, kinds] of Object.entries(item.bugs)) {
    test(`${item.name}: is found when it ${bug}`, async () => {
      const scenario = item.scenario(bug);
      const report = await explore(scenario, { ...options, warmUp: 0 });
      expect(kinds).toContain(report.failure?.kind);
      const byChance = await sample(scenario, { ...options, schedules: 5000, seed: 1 });
      expect(kinds).toContain(byChance.failure?.kind);
      const again = await replay(scenario, report.failure?.schedule ?? '', options);
      expect(again.failure?.kind).toBe(report.failure?.kind);
      row(item.name, bug, report, byChance);
    });
  }
}
