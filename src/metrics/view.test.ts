// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { METRICS } from './metric-table.ts';
import type { ObjectSnapshot, Snapshot } from './snapshot.ts';
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

function snapshotWith(
  objects: readonly ObjectSnapshot[],
  reasons: readonly string[] = [],
): Snapshot {
  const health = { live: true, ready: reasons.length === 0, reasons };
  return { ...snapshotOf(1, 0), metrics: METRICS, health, objects };
}

function tableOf(snapshot: Snapshot, title: string): (readonly string[])[] {
  const table = viewOf(undefined, snapshot).tables.find(({ columns }) => columns[0] === title);
  return table?.rows.map(({ cells }) => cells) ?? [];
}

test('a pool shows who holds its buffers, and a thread its name', () => {
  const holders = [
    { thread: 'hash-1', kind: 'packet', name: '', count: 12 },
    { thread: '', kind: 'channel', name: 'orders', count: 3 },
    { thread: '', kind: 'others', name: '', count: 20_000 },
  ] as const;
  const snapshot = snapshotWith([
    { kind: 'pool', name: 'p', stats: {}, holders },
    { kind: 'pool.thread', name: 'p', part: 0, stats: { name: 'thread 0' } },
    { kind: 'pool.thread', name: 'p', part: 1, stats: { name: 'hash-1' } },
  ]);
  expect(tableOf(snapshot, 'who holds buffers')).toEqual([
    ['hash-1, packet', '12', 'p'],
    ['in transit, channel of orders', '3', 'p'],
    ['others', '20k', 'p'],
  ]);
  expect(tableOf(snapshot, 'pool.thread').map(([name]) => name)).toEqual(['p/0', 'p/1 hash-1']);
  const free = snapshotWith([{ kind: 'pool', name: 'p', stats: {}, holders: [] }]);
  expect(viewOf(undefined, free).tables.map(({ columns }) => columns[0])).not.toContain(
    'who holds buffers',
  );
});

test('among many, those that need attention come first', () => {
  const links = Array.from({ length: 200 }, (_, i) => ({
    kind: 'channel',
    name: `c${i}`,
    stats: { capacity: 8, queued: i === 150 ? 8 : 0 },
  }));
  const names = tableOf(snapshotWith(links), 'channel').map(([name]) => name);
  expect(names.slice(0, 3)).toEqual(['c150', 'c0', 'c1']);
  expect(names).toHaveLength(200);
});

test('the name of a lane is whole on a terminal of 80 columns', () => {
  const lane = { thread: '', kind: 'lane', name: 'thread 0 → executor-15', count: 3 } as const;
  const snapshot = snapshotWith([{ kind: 'pool', name: 'p', stats: {}, holders: [lane] }]);
  const text = linesOf(viewOf(undefined, snapshot), 80).join(' ');
  expect(text).toContain('in transit, lane of thread 0 → executor-15');
});

test('long names leave room for figures, and a terminal obeys no control character', () => {
  const name = `${'long-'.repeat(20)}end`;
  const pools = [{ kind: 'pool', name, stats: { capacity: 8 } }];
  const lines = linesOf(viewOf(undefined, snapshotWith(pools, ['a\nb\x1b[2J'])), 60);
  expect(lines[1]).toBe('! a b [2J');
  expect(lines.find((line) => line.startsWith('  long-'))).toMatch(/^ {2}(long-){6}lon… {2,}8 /);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
  expect(lines.join('')).not.toMatch(/\p{Cc}/u);
  expect(linesOf(viewOf(undefined, snapshotWith(pools)), Infinity).join(' ')).toContain(name);
});
