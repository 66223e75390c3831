// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { METRICS } from './metric-table.ts';
import type { Snapshot } from './snapshot.ts';
import { linesOf, viewOf } from './view.ts';

function snapshotOf(timeMs: number, handled: number, stats: object = {}): Snapshot {
  return {
    ...{ version: 1, pid: 7, threadId: 0, program: 'p', node: 'v1', timeMs, uptimeMs: 4200 },
    health: { live: true, ready: false, reasons: ['cache: cold'] },
    metrics: { executor: METRICS.executor ?? [] },
    objects: [
      { kind: 'executor', name: 'g', part: 0, stats: { state: 'parked', handled, ...stats } },
    ],
  };
}

test('counters are shown as rates, and nothing is shown that is not known', () => {
  const [title, reason, , head, row] = linesOf(
    viewOf(snapshotOf(1000, 0), snapshotOf(3000, 50_000_000)),
    200,
  );
  expect(title).toBe('p pid 7 Node v1 up 4 s NOT READY');
  expect(reason).toBe('! cache: cold');
  const cells = row?.trim().split(/ +/);
  expect(head?.trim().split(/ +/).slice(0, 4)).toEqual([
    'executor',
    'state',
    'queued',
    'handled/s',
  ]);
  expect(cells?.slice(0, 4)).toEqual(['g/0', 'parked', '-', '25M']);
  const without = viewOf(undefined, snapshotOf(3000, 5)).tables[0]?.rows[0]?.cells;
  expect(without?.[3]).toBe('-');
  // A thread that has begun anew.
  const less = viewOf(snapshotOf(1000, 9), snapshotOf(3000, 5)).tables[0]?.rows[0]?.cells;
  expect(less?.[3]).toBe('-');
});

test('a stuck executor and a full channel are alarms', () => {
  const isAlarm = (stats: object): boolean | undefined =>
    viewOf(undefined, snapshotOf(1, 0, stats)).tables[0]?.rows[0]?.isAlarm;
  expect(isAlarm({ state: 'running', sinceTurnMs: 5 })).toBe(false);
  expect(isAlarm({ state: 'running', sinceTurnMs: 5000 })).toBe(true);
  expect(isAlarm({ state: 'parked', sinceTurnMs: 5000 })).toBe(false);
  expect(isAlarm({ capacity: 8, queued: 7 })).toBe(false);
  expect(isAlarm({ capacity: 8, queued: 8 })).toBe(true);
  const line = linesOf(viewOf(undefined, snapshotOf(1, 0, { state: 'ended' })), 12).at(-1);
  expect(line).toMatch(/^! g\/0/);
  expect(line?.length).toBeLessThanOrEqual(12);
});

test('what is wider than the terminal goes on below', () => {
  const view = viewOf(undefined, snapshotOf(1, 0, { state: 'parked' }));
  const columns = view.tables[0]?.columns.slice(1) ?? [];
  for (const width of [10, 40, 80, 200]) {
    const lines = linesOf(view, width);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
    const heads = lines.filter((line) => line.startsWith('  executor'.slice(0, width)));
    const shown = heads.flatMap((line) => line.trim().split(/ +/).slice(1));
    if (width > 20) expect(shown).toEqual(columns);
    expect(lines.filter((line) => line.startsWith('  g/0'))).toHaveLength(heads.length);
  }
});
